"""Reads the chart's values with their comments: what becomes values.schema.json and the table in the chart's README.

A value's comment stands right above it: `# -- ` begins its description, `# @schema {...}` adds to the JSON schema what
the default does not tell. A block mapping is a section; a flow mapping (`{}`) is one value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

_DESCRIPTION: Final = "# -- "
_SCHEMA: Final = "# @schema "
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class ChartValuesError(Exception):
    """A value has no description, or a comment cannot be read; the message names the value."""


@dataclass(frozen=True, slots=True)
class ChartValue:
    """A value, or a section with the values in it."""

    path: str
    """Keys joined by dots."""
    description: str
    """Markdown, one paragraph; empty for a section."""
    default: Any
    schema: dict[str, Any] = field(default_factory=dict)
    """What the comment adds to the schema."""
    children: tuple[ChartValue, ...] = ()

    @property
    def name(self) -> str:
        """The last key of the path."""
        return self.path.rpartition(".")[2]


def read_values(text: str) -> list[ChartValue]:
    """Return the values of the top level, in the file's order.

    Raises:
        ChartValuesError: A value has no description.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ChartValuesError("the values are no mapping")
    return list(_read(root, text.splitlines(), ""))


def leaves(values: Sequence[ChartValue]) -> Iterator[ChartValue]:
    """Yield the values without the sections, in the file's order."""
    for value in values:
        if value.children:
            yield from leaves(value.children)
        else:
            yield value


def json_schema(values: Sequence[ChartValue], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the values: unknown keys are refused, except within what a comment opens.

    Args:
        values: Of the top level.
        definitions: What `$ref`s of comments refer to, by name.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart rerankd",
        **_section(values),
        "$defs": definitions,
    }


def table(values: Sequence[ChartValue]) -> str:
    """Return the values as a Markdown table."""
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for value in leaves(values):
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        rows.append(f"| `{value.path}` | `{default}` | {value.description.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def _read(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[ChartValue]:
    for key, content in node.value:
        path = f"{prefix}{key.value}"
        if isinstance(content, yaml.MappingNode) and not content.flow_style:
            yield ChartValue(path, "", None, children=tuple(_read(content, lines, f"{path}.")))
            continue
        description, schema = _comment(lines, key.start_mark.line, path)
        default = yaml.safe_load(yaml.serialize(content, Dumper=yaml.SafeDumper))
        yield ChartValue(path, description, default, schema)


def _comment(lines: list[str], line: int, path: str) -> tuple[str, dict[str, Any]]:
    """Return description and schema of the comment that ends above a line."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = [each.strip() for each in lines[first:line]]
    words = [each for each in comment if not each.startswith(_SCHEMA)]
    if not words or not words[0].startswith(_DESCRIPTION):
        raise ChartValuesError(f"{path}: no comment above it begins with {_DESCRIPTION!r}")
    description = " ".join([words[0].removeprefix(_DESCRIPTION), *(each.removeprefix("# ") for each in words[1:])])
    schema: dict[str, Any] = {}
    for each in comment:
        if each.startswith(_SCHEMA):
            schema |= yaml.safe_load(each.removeprefix(_SCHEMA))
    return description, schema


def _section(values: Sequence[ChartValue]) -> dict[str, Any]:
    properties = {value.name: _section(value.children) if value.children else _value(value) for value in values}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value(value: ChartValue) -> dict[str, Any]:
    if "$ref" in value.schema:
        return {"description": value.description, **value.schema}
    inferred = {} if value.default is None else {"type": _TYPES[type(value.default)]}
    return {"description": value.description, **inferred, **value.schema}
