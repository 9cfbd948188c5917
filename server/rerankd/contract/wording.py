"""Wording of counts in messages for people."""

from __future__ import annotations


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun, in the plural unless it is one: "1 document", "1,200 documents".

    Args:
        count: How many, n >= 0.
        noun: Singular.
        nouns: Plural; default: `noun` with an s.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"
