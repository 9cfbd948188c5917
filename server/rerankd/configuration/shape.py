"""Validation of plain data against a settings type; collects all problems instead of stopping at the first.

Structs are validated wherever they occur: in fields, mapping values, list items, optionals and unions.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from rerankd.configuration.references import UntypedText
from rerankd.contract.suggestions import did_you_mean


def check(value: object, wanted: object, path: str, problems: list[str]) -> Any:
    """Validate `value` and return it with every `UntypedText` converted.

    Args:
        value: Plain data, as parsed from YAML.
        wanted: A type that msgspec can convert to.
        path: Key path of the value, such as `models.fast.deployments[1]`; empty at the root.
        problems: Receives one sentence per unknown key, missing key and invalid value, with its path.
    """
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
    _convert(str(value), wanted, path, problems)
    return value


def _convert(value: object, wanted: object, path: str, problems: list[str]) -> None:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        problems.append(_readable(str(error), wanted, value, path))


def _readable(message: str, wanted: object, value: object, path: str) -> str:
    """Rewrite msgspec's "Expected `int`, got `str` - at `$.x[...]`" as `path: expected ...`."""
    what, _, where = message.partition(" - at `")
    where = where.rstrip("`").removeprefix("$")
    if what.startswith("Invalid enum value") and (choices := _choices(wanted)):
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        return f"{path}: must be one of {', '.join(choices)}{hint}"
    problem = what[:1].lower() + what[1:]
    at = f"{path}{where}".lstrip(".")
    return f"{at}: {problem}" if at else problem


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
