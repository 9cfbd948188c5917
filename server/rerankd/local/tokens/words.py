"""Word splitting for texts in any script.

Letters, digits and the marks that combine with them make words. Scripts written without spaces (Han, kana, Thai, Lao,
Khmer, Myanmar) and Hangul, whose particles cling to the word, are cut into overlapping pairs of characters.
"""

from __future__ import annotations

import functools
import operator
import re
import threading
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

import Stemmer

_WORD = re.compile(r"\w+")
_SPECIAL = re.compile("[^\\x00-\u02ff\u0370-\u0482\u048a-\u0590\u1e00-\u20cf\u2100-\u25ff]")
"""Whatever may be a mark, of an unspaced script, or a pictograph: not Latin, Greek, Cyrillic, Armenian, punctuation."""
_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
"""Makes an ASCII text one of lower-case words between spaces; with `split` a third of what a pattern costs."""
_SHAPE = bytes(ord(" ") if chr(code) == " " else ord("a") for code in range(256))
"""Makes such a text one of `a` and spaces."""

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_BARE_KANA = "\u3040-\u3098\u309b-\u309f\u30a0-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_KANA = f"{_BARE_KANA}\u3099\u309a"
_SOUTH_EAST_ASIAN = "\u0e00-\u0e3a\u0e40-\u0e4e\u0e80-\u0ece\u1000-\u103f\u1050-\u109d\u1780-\u17d3\u17dd"
_PICTOGRAPHS = "\u2600-\u27bf\U0001f000-\U0001faff"

_DROPPED: dict[int, str | None] = {
    # Points of Arabic and Hebrew are optional in writing, so they must not tell words apart.
    **dict.fromkeys((*range(0x064B, 0x0653), 0x0670, 0x0640, *range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2)),
    ord("_"): " ",
    # Soft hyphen, joiners and variation selectors stand inside words without being part of them.
    **dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10))),
}

STOP_WORDS = frozenset(
    (
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    )
)
"""Stop words of Lucene's English analyser. Stemming changes none of them."""


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Patterns applied to case-folded text."""

    dropped: re.Pattern[str]
    """A character of `_DROPPED`."""
    bare: re.Pattern[str]
    """A run of characters of unspaced scripts that have no marks."""
    piece: re.Pattern[str]
    """A run of word characters and marks, or a pictograph."""
    unspaced: re.Pattern[str]
    """A run of unspaced scripts in a piece."""
    character: re.Pattern[str]
    """One character of such a run with its marks."""


@functools.cache
def _patterns() -> _Patterns:
    """Compile the general patterns once, at the first text that is not ASCII."""
    ranges: list[tuple[int, int]] = []
    for code in range(0x300, 0x1F000):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    unspaced = f"{_HAN}{_HANGUL}{_KANA}{_SOUTH_EAST_ASIAN}"
    return _Patterns(
        dropped=re.compile(f"[{''.join(map(chr, _DROPPED))}]"),
        bare=re.compile(f"[{_HAN}{_HANGUL}{_BARE_KANA}]+"),
        # One class of word characters and marks would be searched range by range.
        piece=re.compile(f"(?:\\w+|[{marks}]+)+|[{_PICTOGRAPHS}]"),
        unspaced=re.compile(f"([{unspaced}][{unspaced}{marks}]*)"),
        character=re.compile(f"[^{marks}][{marks}]*|[{marks}]+"),
    )


_ALONE = re.compile(f"[{_HAN}{_HANGUL}]")


_SEAM = re.compile("[\\x00-/:-@\\[-`{-\\x7f\u3001\u3002\uff01\uff0c\uff1f]")
"""Neither a part of a word nor of a character: what stands before it is read the same whether it follows or not."""


def cut_text(text: str, length: int) -> list[str]:
    """Cut a text into parts that have the same words together as the whole.

    Args:
        text: Any script, any length.
        length: Characters of a part. It ends at the first ASCII character after these that is no letter or digit, or
            at a comma or stop of Chinese and Japanese.

    Returns:
        1 or more parts, in order.
    """
    parts: list[str] = []
    start = 0
    while seam := _SEAM.search(text, start + length):
        parts.append(text[start : seam.start()])
        start = seam.start()
    return [*parts, text[start:]]


def initial_of(words: Collection[str]) -> str:
    """Return the ASCII letter or digit that all of n >= 1 words begin with; empty if there is none."""
    initials = {word[0] for word in words}
    initial = initials.pop()
    return initial if not initials and initial.isascii() else ""


def words_beginning(text: str, initial: str) -> tuple[int, list[str]]:
    """Count the words of an ASCII text, and list those that begin with one letter: a third of the cost of listing all.

    Args:
        text: ASCII.
        initial: A letter in lower case, or a digit. No stem begins with another one than its word.

    Returns:
        The number of words, and some of the items of `split_words`, in order.
    """
    spaced = b" " + text.encode("ascii").translate(_ASCII)
    found = b"".join(_beginning(initial).findall(spaced)).decode("ascii").split()
    return spaced.translate(_SHAPE).count(b" a"), list(map(_stem, found))


@functools.cache
def _beginning(initial: str) -> re.Pattern[bytes]:
    return re.compile(f" {initial}[a-z0-9]*".encode("ascii"))


def split_words(text: str) -> list[str]:
    """List the index words of `text` in order, case folded.

    Args:
        text: Any script, any length.

    Returns:
        Words; for unspaced scripts pairs of neighbouring characters, and for Han and Hangul, where one character can
        be a word, each character too. Pictographs count as words. Empty when there is nothing of these.
    """
    if text.isascii():
        return list(map(_stem, text.encode("ascii").translate(_ASCII).decode("ascii").split()))
    patterns = _patterns()
    folded = unicodedata.normalize("NFKC", text).casefold()
    if patterns.dropped.search(folded):
        folded = folded.translate(_DROPPED)
    folded = unicodedata.normalize("NFC", folded)
    if not _SPECIAL.search(folded):
        return list(map(_stem, _WORD.findall(folded)))
    words: list[str] = []
    for piece in patterns.piece.findall(folded):
        if piece.isascii() or not patterns.unspaced.search(piece):
            words.append(_stem(piece))
            continue
        # Splitting by a group gives what is between the runs at even positions and the runs at odd ones.
        for position, part in enumerate(patterns.unspaced.split(piece)):
            if position % 2:
                words.extend(_pairs(part, patterns))
            elif part:
                words.append(_stem(part))
    return words


def _pairs(run: str, patterns: _Patterns) -> list[str]:
    """List the words of a run of unspaced scripts."""
    if patterns.bare.fullmatch(run):
        characters, alone = list(run), _ALONE.findall(run)
    else:
        characters = patterns.character.findall(run)
        alone = [character for character in characters if _ALONE.match(character)]
    if len(characters) == 1:
        return characters
    return [*map(operator.add, characters, characters[1:]), *alone]


class _Stemmer(threading.local):
    """Snowball's English stemmer, one a thread: it is not thread-safe."""

    def __init__(self) -> None:
        self.stem = Stemmer.Stemmer("english", 0).stemWord


class _Stems(dict[str, str]):
    """Cache of stems by word: a look-up is six times cheaper than stemming. Safe to use from any thread.

    Words with letters of other languages are their own stems.
    """

    _MOST = 32_768
    """Words, some 6 MB: all but the rare words of one language."""
    _LONGEST = 32
    """Characters; longer words rarely recur and are not cached."""

    def __init__(self) -> None:
        self._stemmer = _Stemmer()

    def __missing__(self, word: str) -> str:
        stem: str = self._stemmer.stem(word) if word.isascii() else word
        if len(word) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            # Most words are their own stems: one object serves as both.
            self[word] = word if stem == word else stem
        return stem


_stem = _Stems().__getitem__
