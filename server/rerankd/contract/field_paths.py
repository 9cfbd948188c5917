"""Errors under the names that the caller has for fields: those of another service, or indices of the whole request."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, ServiceError
from rerankd.contract.wording import verb_of

_DOCUMENT: Final = re.compile(r"\bdocuments\[\d{1,9}\](?:\.\w+)*")
"""Paths that are fields wherever they stand in a text."""
_NAMES_A_FIELD: Final = r"(?:^|(?<=did you mean ))%s(?:(?=[:?])| (is|are|has|have|must)\b)"
"""Where else a text names a field, with the verb behind it."""
_OPTIONS: Final = "provider_options."
_FIELD_METADATA: Final = frozenset({"field", "fields"})


def rename_fields(error: ServiceError, rename: Callable[[str], str]) -> ServiceError:
    """Return `error` with its fields renamed in violations, message and metadata; `error` itself if none is.

    Args:
        error: Any error.
        rename: Returns the caller's path of a field path with proto names; the same if it has no other.
    """
    violations = [_renamed(each, rename) for each in error.violations]
    message = _in_text(error.message, rename)
    for old, new in zip(error.violations, violations, strict=True):
        message = message.replace(_in_text(old.description, rename), new.description)
    if message == error.message and violations == list(error.violations):
        return error
    fields = ",".join(each.field for each in violations[:MAX_VIOLATIONS])
    metadata = {
        name: fields if name in _FIELD_METADATA and violations else _in_text(value, rename)
        for name, value in error.metadata.items()
    }
    renamed = replace(error, message=message, metadata=metadata, violations=violations)
    renamed.is_recorded = error.is_recorded
    return renamed


def as_top_level(error: ServiceError, names: Collection[str]) -> ServiceError:
    """Return `error` with the fields `provider_options.NAME` called NAME, as a caller wrote them.

    Args:
        error: Any error.
        names: Names of `provider_options` that the caller gave as top-level fields or keyword arguments.
    """
    return rename_fields(error, lambda field: top_level(field, names))


def top_level(field: str, names: Collection[str]) -> str:
    """Return `provider_options.NAME` as NAME if it is one of `names`; any other path unchanged."""
    own = field.removeprefix(_OPTIONS)
    return own if own != field and own.partition(".")[0] in names else field


def _renamed(violation: FieldViolation, rename: Callable[[str], str]) -> FieldViolation:
    field = rename(violation.field)
    description = _in_text(violation.description, rename)
    if field != violation.field and not _DOCUMENT.match(violation.field):
        description = re.sub(
            _NAMES_A_FIELD % re.escape(violation.field), lambda found: _named(field, found), description
        )
    return FieldViolation(field, description)


def _named(field: str, found: re.Match[str]) -> str:
    return f"{field} {verb_of(field, found[1])}" if found[1] else field


def _in_text(text: str, rename: Callable[[str], str]) -> str:
    return _DOCUMENT.sub(lambda found: rename(found[0]), text)
