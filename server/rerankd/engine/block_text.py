"""Writes objects as block YAML, the text that PyYAML's C dumper gives, at a fraction of its cost.

Cohere ranks objects by such a text. The dumper makes an event of every key and value, at 6 us a field, and cannot yield
the event loop; most are words and numbers that need no quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import yaml

from rerankd.engine.time_slice import TimeSlice

_RESOLVERS: Final[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = yaml.SafeDumper.yaml_implicit_resolvers
_LINES_A_LOOK: Final = 200
"""Lines between two checks of the clock; they take up to 1 ms."""
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
_MOST_KEY_BYTES: Final = 128
"""A longer key is written in the explicit form."""
_AMBIGUOUS: Final = frozenset("yYnNtTfFoO")
"""Letters that a truth value or null begins with."""
_AMBIGUOUS_WORDS: Final = frozenset(
    form
    for word in ("yes", "no", "true", "false", "on", "off", "null")
    for form in (word, word.capitalize(), word.upper())
)
"""All that `_PLAIN` matches and is none the less ambiguous."""
_NOT_PLAIN: Final = b"\0"
_KINDS: Final = bytes(
    ord("a" if chr(code).isalpha() else chr(code) if chr(code) in " \n" else ".")
    if re.match(r"[0-9A-Za-z .,;/()'_+\n-]", chr(code))
    else 0
    for code in range(256)
)
"""What each character is to `_PLAIN`: a letter (`a`), a space, a line break, another (`.`) or none of it (NUL)."""
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_TEXTS_ONLY: Final = {str}
_TEXTS_AND_INTEGERS: Final = frozenset({str, int})
_WORDS: Final = {True: "true", False: "false", None: "null"}


async def block_text(value: dict[str, Any], time_slice: TimeSlice) -> str:
    """Return an object of JSON values (not empty) as block YAML, without the last line's end; 3.0 is written as 3."""
    if len(value) <= _LINES_A_LOOK and (text := _flat_text(value)) is not None:
        return text
    lines: list[str] = []
    await _write_object(lines, value, "", "", time_slice)
    return "\n".join(lines)


def _flat_text(value: dict[str, Any]) -> str | None:
    """Write an object of nothing but texts, numbers and the like, most objects; `None` for any other.

    The documents of a call mostly have the same keys, so these are written once, and texts are looked at together.
    """
    if max(map(len, value)) > _MOST_KEY_BYTES or (names := _names_of(tuple(value))) is None:
        return None
    if (texts := _scalar_texts([*value.values()])) is None:
        return None
    parts = names.copy()
    parts[1::2] = texts
    return "".join(parts)


def _scalar_texts(values: Sequence[Any]) -> Sequence[str] | None:
    """Write n scalars; `None` if one of the values is an object or a list."""
    types = set(map(type, values))
    if types == _TEXTS_ONLY:
        return values if _are_plain(values) else [_text(each, "") for each in values]
    if not _SCALARS.issuperset(types):
        return None
    is_plain = _are_plain([each for each in values if type(each) is str])
    if is_plain and _TEXTS_AND_INTEGERS.issuperset(types):
        return [*map(str, values)]
    return [each if is_plain and type(each) is str else _inline(each) for each in values]


def _inline(value: Any) -> str:
    return _text(value, "") if type(value) is str else _scalar(value)


@lru_cache(64)
def _names_of(keys: tuple[str, ...]) -> list[str] | None:
    """Return how an object of scalars is written, with an empty text for each value; `None` for explicit keys."""
    names = [_key(key) for key in keys]
    if None in names:
        return None
    return [part for at, name in enumerate(names) for part in (f"\n{name}: " if at else f"{name}: ", "")]


def _are_plain(texts: Sequence[str]) -> bool:
    """Whether none of n >= 0 texts needs quotes; `False` is no proof of the contrary."""
    joined = "\n".join(texts)
    if not texts or not joined.isascii():
        return not texts
    kinds = f"\n{joined}\n".encode("ascii").translate(_KINDS)
    count = len(texts)
    return (
        _NOT_PLAIN not in kinds
        and b" \n" not in kinds
        and kinds.count(b"\na") == count == kinds.count(b"\n") - 1
        and _AMBIGUOUS_WORDS.isdisjoint(texts)
    )


async def value_text(value: Any, time_slice: TimeSlice) -> str:
    """Return a JSON value other than a string as it stands behind its key in `block_text`, without the key."""
    if isinstance(value, dict) and value:
        return await block_text(value, time_slice)
    if not isinstance(value, list) or not value:
        return _scalar(value)
    lines: list[str] = []
    await _write_list(lines, value, "- ", "", time_slice)
    return "\n".join(lines)


async def _write_object(
    lines: list[str], value: dict[str, Any], first: str, indent: str, time_slice: TimeSlice
) -> None:
    """Write the entries of an object; the first one goes on behind `first`, the others behind `indent`."""
    start, inner = first, f"{indent}  "
    next_look = len(lines) + _LINES_A_LOOK
    for key, each in value.items():
        name = _key(key) if len(key) <= _MOST_KEY_BYTES else None
        if name is None:
            lines.append(f"{start}? {_text(key, indent)}")
            await _write_list(lines, [each], f"{indent}: ", indent, time_slice)
        elif type(each) is str:
            lines.append(f"{start}{name}: {_text(each, indent)}")
        elif isinstance(each, dict) and each:
            lines.append(f"{start}{name}:")
            await _write_object(lines, each, inner, inner, time_slice)
        elif isinstance(each, list) and each:
            lines.append(f"{start}{name}:")
            await _write_list(lines, each, f"{indent}- ", indent, time_slice)
        else:
            lines.append(f"{start}{name}: {_scalar(each)}")
        start = indent
        if len(lines) > next_look:
            next_look = len(lines) + _LINES_A_LOOK
            if time_slice.is_over():
                await time_slice.rest()


async def _write_list(lines: list[str], items: list[Any], first: str, indent: str, time_slice: TimeSlice) -> None:
    """Write the items of a list; the first one goes on behind `first`, the others behind a dash at `indent`."""
    start, inner = first, f"{indent}  "
    next_look = len(lines) + _LINES_A_LOOK
    for each in items:
        if type(each) is str:
            lines.append(start + _text(each, indent))
        elif isinstance(each, dict) and each:
            await _write_object(lines, each, start, inner, time_slice)
        elif isinstance(each, list) and each:
            await _write_list(lines, each, f"{start}- ", inner, time_slice)
        else:
            lines.append(start + _scalar(each))
        start = f"{indent}- "
        if len(lines) > next_look:
            next_look = len(lines) + _LINES_A_LOOK
            if time_slice.is_over():
                await time_slice.rest()


@lru_cache(1024)
def _key(key: str) -> str | None:
    """Return a key as it is written in front of a colon; `None` where it takes the explicit form."""
    return None if len(key.encode()) > _MOST_KEY_BYTES or _KEY_BREAK.search(key) else _text(key, "")


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
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return "{}" if isinstance(value, dict) else "[]"
