"""Writes objects as block YAML, the text that PyYAML's C dumper gives, at a fraction of its cost.

Cohere ranks objects by such a text. The dumper makes an event of every key and value, at 6 us a field; most are words
and numbers that need no quotes. What is not written here, such as a key of several lines, is left to the dumper.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Final

import yaml

from rerankd_adapters.wire import whole_numbers

_YamlDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_RESOLVERS: Final[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = _YamlDumper.yaml_implicit_resolvers
_KEY_BREAK: Final = re.compile(r"[\n\r\x85\u2028\u2029]")
"""Line breaks; a key with one is written in the explicit form `? key`."""
_PLAIN: Final = re.compile(r"[A-Za-z](?:[0-9A-Za-z .,;/()'_+-]*[0-9A-Za-z.,;/()'_+-])?")
"""Texts that need no quotes unless they are ambiguous; most texts."""
_ESCAPED: Final = re.compile(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]| [\n\u2028\u2029]|[\n\u2028\u2029] ")
"""Characters that require double quotes."""
_QUOTED: Final = re.compile(r"""[ \n#,\[\]{}&*!|>'"%@`]|[-?:](?:\s|\Z)|---|\.\.\.""")
"""Prefixes that require single quotes."""
_ESCAPES: Final = re.compile(r'[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]|["\\]')
_NAMED: Final = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", '"': '"',
    "\\": "\\", "\x85": "N", "\u2028": "L", "\u2029": "P",
}  # fmt: skip
_BREAKS: Final = re.compile(r"[\n\u2028\u2029]+")
_MOST_KEY_BYTES: Final = 120
"""The dumper writes keys over 128 bytes in another form."""
_AMBIGUOUS: Final = frozenset("yYnNtTfFoO")
"""Letters that a truth value or null begins with."""
_WORDS: Final = {True: "true", False: "false", None: "null"}


class _NeedsDumperError(Exception):
    """The value has a form that only PyYAML's dumper writes."""


def block_text(value: dict[str, Any]) -> str:
    """Return an object of JSON values (not empty) as block YAML, without the last line's end; 3.0 is written as 3."""
    lines: list[str] = []
    try:
        _write_object(lines, value, "", "")
    except _NeedsDumperError:
        return dumped(whole_numbers(value))
    return "\n".join(lines)


def dumped(value: dict[str, Any]) -> str:
    """Return the same by the dumper, but for whole numbers."""
    return str(yaml.dump(value, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)).rstrip("\n")


def _write_object(lines: list[str], value: dict[str, Any], first: str, indent: str) -> None:
    """Write the entries of an object; the first one goes on behind `first`, the others behind `indent`."""
    start = first
    for key, each in value.items():
        head = f"{start}{_key(key)}:"
        start = indent
        if type(each) is str:
            lines.append(f"{head} {_text(each, indent)}")
        elif isinstance(each, dict) and each:
            lines.append(head)
            _write_object(lines, each, f"{indent}  ", f"{indent}  ")
        elif isinstance(each, list) and each:
            lines.append(head)
            _write_list(lines, each, indent, indent)
        else:
            lines.append(f"{head} {_scalar(each)}")


def _write_list(lines: list[str], items: list[Any], first: str, indent: str) -> None:
    start, inner = f"{first}- ", f"{indent}  "
    for each in items:
        if type(each) is str:
            lines.append(start + _text(each, indent))
        elif isinstance(each, dict) and each:
            _write_object(lines, each, start, inner)
        elif isinstance(each, list) and each:
            _write_list(lines, each, start, inner)
        else:
            lines.append(start + _scalar(each))
        start = f"{indent}- "


@lru_cache(1024)
def _key(key: str) -> str:
    if len(key.encode()) > _MOST_KEY_BYTES or _KEY_BREAK.search(key):
        raise _NeedsDumperError
    return _text(key, "")


def _text(text: str, indent: str) -> str:
    if _PLAIN.fullmatch(text):
        return f"'{text}'" if text[0] in _AMBIGUOUS and _is_ambiguous(text) else text
    if _ESCAPED.search(text):
        return f'"{_ESCAPES.sub(_escape, text)}"'
    if not (_has_mark(text) or _QUOTED.match(text) or _is_ambiguous(text)):
        return text
    quoted = text.replace("'", "''")
    if _BREAKS.search(quoted):
        quoted = _BREAKS.sub(lambda found: _broken(found[0], indent), quoted)
    return f"'{quoted}'"


def _broken(breaks: str, indent: str) -> str:
    """Write line breaks within single quotes, where one alone would be read as a space."""
    first = "\n" if breaks[0] == "\n" else ""
    return f"{first}{breaks}{indent}  "


def _has_mark(text: str) -> bool:
    """Whether something within the text, or at its end, has a meaning outside of quotes."""
    return ": " in text or " #" in text or _BREAKS.search(text) is not None or text[-1:] in (" ", ":")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if name := _NAMED.get(character):
        return f"\\{name}"
    code = ord(character)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _is_ambiguous(text: str) -> bool:
    """Whether a reader of YAML would take the text for a number, a date, a truth value or null."""
    found = _RESOLVERS.get(text[:1])
    return found is not None and any(pattern.match(text) for _, pattern in found)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        if math.isfinite(value):
            text = repr(value)
            return text.replace("e", ".0e") if "e" in text and "." not in text else text
    elif isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    raise _NeedsDumperError
