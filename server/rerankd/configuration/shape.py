"""Validation of plain data against a settings type; collects all problems instead of stopping at the first.

Structs are validated wherever they occur: in fields, mapping values, list items, optionals and unions.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from rerankd.configuration.references import UntypedText
from rerankd.configuration.tagged import Tags, tagged_struct, tags_of
from rerankd.contract.suggestions import did_you_mean

UNUSABLE: Final = object()
"""Stands for a value of which nothing is valid."""
_SECRET: Final = re.compile(r"key|token|secret|password|credential|header|url|proxy", re.IGNORECASE)
_SHOWN_CHARS: Final = 60


def check(value: object, wanted: object, path: str, problems: list[str]) -> Any:
    """Validate `value` and return it with every `UntypedText` converted.

    Args:
        value: Plain data, as parsed from YAML.
        wanted: A type that msgspec can convert to.
        path: Key path of the value, such as `models.fast.deployments[1]`; empty at the root.
        problems: Receives one sentence per unknown key, missing key and invalid value, with its path.
    """
    if isinstance(value, dict) and (tags := tags_of(wanted)) is not None:
        return _check_tagged(value, tags, path, problems)
    inner, origin = _core(wanted, value)
    if _is_struct(inner) and isinstance(value, dict):
        return _check_struct(value, inner, path, problems)
    if origin is dict and isinstance(value, dict):
        _, item_type = get_args(inner)
        return {key: check(item, item_type, _below(path, key), problems) for key, item in value.items()}
    if origin in (list, tuple, set, frozenset, Sequence) and isinstance(value, list):
        item_types = [each for each in get_args(inner) if each is not Ellipsis]
        if len(item_types) == 1:
            return [check(item, item_types[0], f"{path}[{index}]", problems) for index, item in enumerate(value)]
    return _check_leaf(value, wanted, path, problems)


def usable(value: object, wanted: object) -> Any:
    """Return checked plain data without its invalid parts, so that what is left can be checked further.

    Args:
        value: Plain data that `check` returned.
        wanted: A type that msgspec can convert to.

    Returns:
        A copy that msgspec can convert to `wanted`; `UNUSABLE` if nothing of it can be.
    """
    tags = tags_of(wanted)
    inner, origin = _core(wanted, value) if tags is None else (tagged_struct(value, tags), None)
    kept = value
    if _is_struct(inner) and isinstance(value, dict):
        fields = _fields(inner)
        tag = {tags.field: value[tags.field]} if tags is not None else {}
        kept = tag | {key: usable(item, fields[key].type) for key, item in value.items() if key in fields}
    elif origin is dict and isinstance(value, dict):
        kept = {key: usable(item, get_args(inner)[1]) for key, item in value.items()}
    elif origin in (list, tuple, set, frozenset, Sequence) and isinstance(value, list):
        kept = [usable(item, get_args(inner)[0]) for item in value]
    if isinstance(kept, dict):
        kept = {key: item for key, item in kept.items() if item is not UNUSABLE}
    elif isinstance(kept, list):
        kept = [item for item in kept if item is not UNUSABLE]
    problems: list[str] = []
    _convert(kept, wanted, "", problems)
    return UNUSABLE if problems else kept


def _check_tagged(value: dict[object, object], tags: Tags, path: str, problems: list[str]) -> Any:
    struct = tagged_struct(value, tags)
    if struct is not None:
        rest = {key: item for key, item in value.items() if key != tags.field}
        return {tags.field: str(value[tags.field]), **_check_struct(rest, struct, path, problems)}
    where, choices = _below(path, tags.field), ", ".join(tags.structs)
    if tags.field not in value:
        problems.append(f"{where} is missing; it is one of {choices}")
    else:
        given = value[tags.field]
        hint = did_you_mean(given, tags.structs) if isinstance(given, str) else ""
        problems.append(f"{where}: must be one of {choices}{_given(given, where, ', is ')}{hint}")
    return value


def _check_struct(value: dict[object, object], struct: type[msgspec.Struct], path: str, problems: list[str]) -> Any:
    fields = _fields(struct)
    prefix = f"{path}." if path else ""
    count = len(problems)
    checked = {}
    for key, item in value.items():
        if key in fields:
            checked[key] = check(item, fields[key].type, prefix + key, problems)
        else:
            problems.append(f"{prefix}{key} is not a setting{did_you_mean(str(key), fields, prefix)}")
    problems += [f"{prefix}{name} is missing" for name, field in fields.items() if field.required and name not in value]
    if len(problems) == count:
        # Constraints across fields (`__post_init__`) are only checked when the struct is created.
        _convert(checked, struct, path, problems)
    return checked


def _check_leaf(value: object, wanted: object, path: str, problems: list[str]) -> Any:
    if not isinstance(value, UntypedText):
        _convert(value, wanted, path, problems)
        return value
    for candidate, is_strict in ((value.guess, True), (str(value), True), (str(value), False)):
        try:
            return msgspec.to_builtins(msgspec.convert(candidate, wanted, strict=is_strict))
        except msgspec.ValidationError:
            continue
    _convert(str(value), wanted, path, problems, shown=value)
    return value


def _convert(value: object, wanted: object, path: str, problems: list[str], *, shown: object = None) -> None:
    """Add the problem of a value that is not `wanted`; `shown` is what to show of it, by default the value."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        problems.append(_readable(str(error), wanted, value if shown is None else shown, path))


def _readable(message: str, wanted: object, value: object, path: str) -> str:
    """Rewrite msgspec's "Expected `int`, got `str` - at `$.x[...]`" as `path: expected ...`."""
    what, _, where = message.partition(" - at `")
    where = where.rstrip("`").removeprefix("$")
    if what.startswith("Invalid enum value") and (choices := _choices(wanted)):
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        return f"{path}: must be one of {', '.join(choices)}{_given(value, path, ', is ')}{hint}"
    given = "" if where else _given(value, path, " " if ", got `" in what else ", is ")
    problem = what[:1].lower() + what[1:] + given
    at = f"{path}{where}".lstrip(".")
    return f"{at}: {problem}" if at else problem


def _given(value: object, path: str, before: str) -> str:
    """Show an invalid value after `before`, cut to 60 characters; nothing for one that may be a secret, or is large."""
    is_secret = _SECRET.search(path) or (isinstance(value, UntypedText) and value.is_reference)
    if is_secret or not isinstance(value, str | int | float):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return before + (text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def _choices(wanted: object) -> list[str]:
    options = [wanted, *get_args(wanted)]
    return [str(choice) for option in options if get_origin(option) is Literal for choice in get_args(option)]


def _core(wanted: object, value: object) -> tuple[Any, Any]:
    """Return the union member that matches the shape of `value`, and its generic origin."""
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    if get_origin(wanted) in (Union, types.UnionType):
        for member in get_args(wanted):
            inner, origin = _core(member, value)
            fits_mapping = isinstance(value, dict) and (_is_struct(inner) or origin is dict)
            if fits_mapping or (isinstance(value, list) and origin in (list, tuple)):
                return inner, origin
    return wanted, get_origin(wanted)


def _is_struct(wanted: object) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
