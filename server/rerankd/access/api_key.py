"""An API key as it is kept: everything but the key itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from rerankd.access.scopes import ALL_SCOPES, DEFAULT_SCOPES
from rerankd.contract.suggestions import did_you_mean

MAX_NAME_CHARS: Final = 200
"""Longest name, owner, group, tag or model pattern."""
MAX_ITEMS: Final = 100
"""Most tags or model patterns."""


class KeyDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose an API key is, and what it may be used for."""

    name: str = ""
    """What people call it."""
    owner: str = ""
    """Who answers for it: a person, a team or a service."""
    group: str = ""
    """Group whose limits it shares."""
    tags: tuple[str, ...] = ()
    """Free labels."""
    models: tuple[str, ...] = ()
    """Models that may be named in a call, `*` for any text (`cohere/*`). Empty: all."""
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    """What callers may do: `rerank`, `models`, `rerankers.read`, `rerankers.write`, `runs.read`, `metrics`,
    `admin`."""

    def problems(self) -> list[tuple[str, str]]:
        """List what cannot be used: pairs of a field's name and a sentence without it."""
        found = []
        texts = {"name": [self.name], "owner": [self.owner], "group": [self.group]}
        lists = {"tags": self.tags, "models": self.models}
        for name, values in {**texts, **lists}.items():
            found += [(name, rule) for value in values if (rule := _problem_of_text(value, is_item=name in lists))]
        found += [(name, f"has more than {MAX_ITEMS} items") for name, items in lists.items() if len(items) > MAX_ITEMS]
        if not self.scopes:
            found.append(("scopes", f"is empty; it takes {', '.join(ALL_SCOPES)}"))
        for scope in self.scopes:
            if scope not in ALL_SCOPES:
                hint = did_you_mean(scope, ALL_SCOPES) or f"; known are {', '.join(ALL_SCOPES)}"
                found.append(("scopes", f"{scope[:50]!r} is not a scope{hint}"))
        return found


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as the store or the settings have it. Times are seconds since 1970."""

    id: str
    """Public id, never reused."""
    digest: str
    """SHA-256 of the key; see `key_format.digest_of`."""
    hint: str = ""
    """Last characters of the key; empty when only its hash is known."""
    details: KeyDetails = KeyDetails()
    created_at: float = 0.0
    """When it was made; 0 for one of the settings."""
    expires_at: float | None = None
    """When it stops; `None`: never."""
    revoked_at: float | None = None
    """When it was revoked; `None`: it was not."""
    old_digest: str = ""
    """SHA-256 of the key before the last rotation; empty when there is none."""
    old_expires_at: float | None = None
    """When that one stops."""
    is_declared: bool = False
    """Whether the settings declare it, so that it cannot be changed here."""


def new_id() -> str:
    """Make an id; ids sort by the time they were made, to the millisecond."""
    return f"key_{int(time.time() * 1000):011x}{secrets.token_hex(5)}"


def _problem_of_text(value: str, *, is_item: bool) -> str | None:
    if is_item and not value.strip():
        return "has an empty item"
    if len(value) > MAX_NAME_CHARS:
        return f"is longer than {MAX_NAME_CHARS} characters"
    return None if value.isprintable() else "has characters that cannot be printed"


def problems_of(details: KeyDetails, path: str) -> Sequence[str]:
    """List what cannot be used of the details of a key at a settings path, one sentence each."""
    return [f"{path}.{name}: {rule}" for name, rule in details.problems()]
