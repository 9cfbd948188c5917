"""Wording of counts and of fields' names in messages for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PLURALS: Final[Mapping[str, str]] = {"is": "are", "has": "have"}
_SINGULARS: Final[Mapping[str, str]] = {plural: singular for singular, plural in _PLURALS.items()}


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun, in the plural unless it is one: "1 document", "1,200 documents".

    Args:
        count: How many, n >= 0.
        noun: Singular.
        nouns: Plural; default: `noun` with an s.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"


def verb_of(field: str, verb: str) -> str:
    """Return a verb in the number of a field's name: "texts are", "input is"; a path with dots or indices is one.

    Args:
        field: Name or path.
        verb: In either number; one that is the same in both, such as "must", stays as it is.
    """
    return (_PLURALS if field.endswith("s") and field.isidentifier() else _SINGULARS).get(verb, verb)
