"""JSON schema of a settings struct, for editors: with descriptions and defaults; unknown keys are errors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any, Final

import msgspec

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final[dict[str, Any]] = {"type": "string", "pattern": r"\$\{"}
_UNQUOTED: Final = frozenset({"integer", "number", "boolean"})


def json_schema(struct: type[msgspec.Struct], *, title: str, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the JSON schema of a settings file.

    Numbers, booleans and enums also accept a string that contains a reference such as `${NAME}`.

    Args:
        struct: Type of the settings; the docstrings of its fields become descriptions.
        title: Title of the schema.
        hidden: Fields of `struct` to leave out.
    """
    (root,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    structs = {each.__name__: each for each in _structs(struct)}
    for name, definition in components.items():
        if name in structs:
            _describe(definition, structs[name])
        else:
            components[name] = _relaxed(definition)
    top = components.pop(root["$ref"].rpartition("/")[2])
    top["properties"] = {name: each for name, each in top["properties"].items() if name not in hidden}
    return {"$schema": _DIALECT, **top, "title": title, "$defs": dict(sorted(components.items()))}


def _describe(definition: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    descriptions = field_descriptions(struct)
    definition.pop("title", None)
    if not definition.get("required"):
        definition.pop("required", None)
    if struct.__doc__:
        definition["description"] = _one_line(inspect.cleandoc(struct.__doc__).partition("\n\n")[0])
    for name, schema in definition["properties"].items():
        stated = {"default": schema.pop("default")} if "default" in schema else {}
        if "$ref" in schema:
            stated = {}  # the fields below state their own
        relaxed = _relaxed(schema)
        description = {"description": descriptions[name]} if name in descriptions else {}
        definition["properties"][name] = {**description, **relaxed, **stated}


def _relaxed(schema: dict[str, Any]) -> dict[str, Any]:
    """Accept a reference string wherever the schema does not accept any string."""
    if "anyOf" in schema:
        return {**schema, "anyOf": _with_reference([_relaxed_parts(each) for each in schema["anyOf"]])}
    parts = _relaxed_parts(schema)
    found = _with_reference([parts])
    return parts if len(found) == 1 else {"anyOf": found}


def _relaxed_parts(schema: dict[str, Any]) -> dict[str, Any]:
    changed = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(changed.get(key), dict):
            changed[key] = _relaxed(changed[key])
    return changed


def _with_reference(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    is_wanted = any(part.get("type") in _UNQUOTED or "enum" in part for part in parts)
    takes_text = any(part.get("type") == "string" for part in parts)
    return [*parts, dict(_REFERENCE)] if is_wanted and not takes_text else parts


@cache
def field_descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring of each field of a struct (the string literal below it), joined to one line.

    Fields that it inherits are included. The key that tells types of a setting apart names its one value.
    """
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= _own_descriptions(base)
    config = struct.__struct_config__
    return found | ({config.tag_field: f"{config.tag}: decides what the other keys are."} if config.tag_field else {})


def _own_descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = _one_line(str(below.value.value))  # type: ignore[attr-defined]  # is_text
    return found


def _structs(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    found: list[type[msgspec.Struct]] = []

    def visit(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in found:
                return
            found.append(node.cls)
            for field in node.fields:
                visit(field.type)
        for name in ("types", "item_types", "item_type", "key_type", "value_type"):
            below = getattr(node, name, None)
            for each in below if isinstance(below, tuple) else (below,):
                if each is not None:
                    visit(each)

    visit(msgspec.inspect.type_info(root))
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
