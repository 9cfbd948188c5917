"""Words of a text in any script.

Letters, digits and the marks that combine with them make words. Scripts written without spaces (Han, kana, Thai, Lao,
Khmer, Myanmar) and Hangul, whose particles cling to the word, are cut into overlapping pairs of characters.
"""

from __future__ import annotations

import functools
import itertools
import re
import threading
import unicodedata

import Stemmer

_ASCII_WORD = re.compile(r"[a-z0-9]+")

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_KANA = "\u3040-\u309f\u30a0-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
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
"""English words that tell nothing of a document, as Lucene's English analyser has them. Stemming changes none."""


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Compile the general patterns once, at the first text that is not ASCII.

    Returns:
        A piece of word characters and marks, or a pictograph; a run of unspaced scripts in a piece; one character
        of such a run with its marks.
    """
    ranges: list[tuple[int, int]] = []
    for code in range(0x300, 0x1F000):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    unspaced = f"{_HAN}{_HANGUL}{_KANA}{_SOUTH_EAST_ASIAN}"
    return (
        re.compile(f"[\\w{marks}]+|[{_PICTOGRAPHS}]"),
        re.compile(f"([{unspaced}][{unspaced}{marks}]*)"),
        re.compile(f"[^{marks}][{marks}]*|[{marks}]+"),
    )


_ALONE = re.compile(f"[{_HAN}{_HANGUL}]")


def split_words(text: str) -> list[str]:
    """List the index words of `text` in order, case folded.

    Args:
        text: Any script, any length.

    Returns:
        Words; for unspaced scripts pairs of neighbouring characters, and for Han and Hangul, where one character can
        be a word, each character too. Pictographs count as words. Empty when there is nothing of these.
    """
    if text.isascii():
        stem = _stemmer.stem
        return [stem(word) for word in _ASCII_WORD.findall(text.lower())]
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = unicodedata.normalize("NFC", folded.translate(_DROPPED))
    piece_pattern, unspaced, character = _patterns()
    words: list[str] = []
    for piece in piece_pattern.findall(folded):
        if piece.isascii() or not unspaced.search(piece):
            words.append(_stem(piece))
            continue
        # Splitting by a group gives what is between the runs at even places and the runs at odd ones.
        for place, part in enumerate(unspaced.split(piece)):
            if place % 2:
                words.extend(_pairs(character.findall(part)))
            elif part:
                words.append(_stem(part))
    return words


def _pairs(characters: list[str]) -> list[str]:
    if len(characters) == 1:
        return characters
    pairs = [first + second for first, second in itertools.pairwise(characters)]
    return pairs + [single for single in characters if _ALONE.match(single)]


class _Stemmer(threading.local):
    """Snowball's English stemmer, one a thread: it is not safe to share."""

    def __init__(self) -> None:
        self.stem = Stemmer.Stemmer("english").stemWord


_stemmer = _Stemmer()


def _stem(word: str) -> str:
    """Reduce an English word to its stem; words with letters of other languages are left alone."""
    return _stemmer.stem(word) if word.isascii() else word
