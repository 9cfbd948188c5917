"""API keys of the settings file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from rerankd.access.api_key import ApiKey, KeyDetails, problems_of
from rerankd.access.key_format import digest_of, hint_of, parse_digest, weakness
from rerankd.access.scopes import ALL_SCOPES, DEFAULT_SCOPES

BOOTSTRAP_ID: Final = "bootstrap"
KEY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Form of the ids of keys, those of the store included."""


class DeclaredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An API key of the settings file. It cannot be changed over the API."""

    hash: str = ""
    """SHA-256 of the key in hexadecimal digits, as `rerankd keys generate` prints it."""
    secret: str = ""
    """The key itself, as a reference: `${NAME}` or `${file:PATH}`. Instead of `hash`."""
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
    expires_at: datetime | None = None
    """When it stops, with a time zone: `2027-01-31T00:00:00Z`. Unset: never."""

    def details(self, name: str) -> KeyDetails:
        """Return what it may be used for.

        Args:
            name: Its key in the settings.
        """
        return KeyDetails(
            name=name,
            owner=self.owner,
            group=self.group,
            tags=self.tags,
            models=self.models,
            scopes=self.scopes,
        )

    def api_key(self, name: str) -> ApiKey:
        """Return the key as it is kept; for settings without problems."""
        return ApiKey(
            id=name,
            digest=digest_of(self.secret) if self.secret else parse_digest(self.hash) or "",
            hint=hint_of(self.secret) if self.secret else "",
            details=self.details(name),
            expires_at=None if self.expires_at is None else self.expires_at.timestamp(),
            is_declared=True,
        )

    def problems(self, name: str, path: str) -> list[str]:
        """Say what cannot be used, one sentence each."""
        found = [] if KEY_ID.fullmatch(name) else [f"{path}: a name has 1 to 100 letters, digits, '.', '_' and '-'"]
        if bool(self.hash) == bool(self.secret):
            found.append(f"{path} needs one of hash and secret")
        elif self.hash and parse_digest(self.hash) is None:
            found.append(f"{path}.hash must be 64 hexadecimal digits, the SHA-256 of the key")
        elif self.secret and (rule := weakness(self.secret)):
            found.append(f"{path}.secret is weak: {rule}")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            found.append(f"{path}.expires_at needs a time zone, such as Z at its end")
        return [*found, *problems_of(self.details(name), path)]


def declared_keys(keys: Mapping[str, DeclaredKey], bootstrap_key: str) -> list[ApiKey]:
    """Return the keys of settings that have no problems, the bootstrap key last."""
    found = [declared.api_key(name) for name, declared in keys.items()]
    if bootstrap_key:
        details = KeyDetails(name=BOOTSTRAP_ID, scopes=ALL_SCOPES)
        digest, hint = digest_of(bootstrap_key), hint_of(bootstrap_key)
        found.append(ApiKey(id=BOOTSTRAP_ID, digest=digest, hint=hint, details=details, is_declared=True))
    return found


def key_problems(keys: Mapping[str, DeclaredKey], bootstrap_key: str, path: str) -> list[str]:
    """Say what cannot be used of the keys of the settings, one sentence each.

    Args:
        keys: Keys by name.
        bootstrap_key: The key for the start; may be empty.
        path: Where they stand.
    """
    found = []
    if bootstrap_key and (rule := weakness(bootstrap_key)):
        found.append(f"{path}.bootstrap_key is weak: {rule}; `rerankd keys generate` prints a strong one")
    for name, declared in keys.items():
        found += declared.problems(name, f"{path}.keys.{name}")
    if BOOTSTRAP_ID in keys:
        found.append(f"{path}.keys.{BOOTSTRAP_ID}: the name is that of {path}.bootstrap_key")
    if not found:
        digests = [key.digest for key in declared_keys(keys, bootstrap_key)]
        if len(set(digests)) < len(digests):
            found.append(f"{path}.keys: two of them are the same key")
    return found


def utc(seconds: float) -> datetime:
    """Return a time of an `ApiKey` with its zone."""
    return datetime.fromtimestamp(seconds, UTC)
