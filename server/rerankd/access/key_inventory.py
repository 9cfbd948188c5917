"""API keys as people manage them: those of the settings, read-only, and those of the store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from rerankd.access.api_key import ApiKey, KeyDetails, new_id
from rerankd.access.key_format import digest_of, hint_of, new_secret, parse_digest, weakness
from rerankd.access.key_settings import BOOTSTRAP_ID, KEY_ID
from rerankd.access.stored_keys import LazyStoredKeys
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.store.faults import store_faults

if TYPE_CHECKING:
    from rerankd.access.key_table import KeyTable

MAX_OVERLAP_S: Final = 365 * 86_400.0
"""Longest time for which the secret before a rotation is taken."""
_SHOWN_CHARS: Final = 100
_SETTINGS: Final = "settings"
_STORE: Final = "store"


class NewKey(NamedTuple):
    """A key with its secret, which is not kept."""

    key: ApiKey
    secret: str


class KeyPage(NamedTuple):
    """Some keys, and where the next ones begin."""

    keys: list[ApiKey]
    next_token: str
    """Empty where these are the last ones."""


class ImportedKey(NamedTuple):
    """An existing key, by `secret` or by `hash`; the other one is empty."""

    details: KeyDetails
    secret: str = ""
    hash: str = ""
    expires_at: float | None = None

    def problems(self) -> list[tuple[str, str]]:
        """List what cannot be used: pairs of a field's name and a sentence without it."""
        found = self.details.problems()
        if bool(self.secret) == bool(self.hash):
            found.append(("secret", "is needed, or hash, and not both"))
        elif self.hash and parse_digest(self.hash) is None:
            found.append(("hash", "must be the 64 hexadecimal digits of the key's SHA-256"))
        elif self.secret and (rule := weakness(self.secret)):
            found.append(("secret", f"is weak: {rule}; give its caller a new one"))
        return found


class KeyInventory:
    """Lists, makes and changes keys. Task-safe. Failures are `ServiceError`s; a store that is away is one.

    Args:
        declared: Returns the keys of the settings, which are only read.
        stored: The keys of the store; reading creates no SQLite file.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        declared: Callable[[], Sequence[ApiKey]],
        stored: LazyStoredKeys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._declared = declared
        self._stored = stored
        self._clock = clock

    async def create(self, details: KeyDetails, expires_at: float | None) -> NewKey:
        """Make a key.

        Args:
            details: Whose it is, and what for; needs a name.
            expires_at: When it stops, in seconds since 1970, in the future; None: never.

        Raises:
            ServiceError: `INVALID_REQUEST`, `STORE_UNAVAILABLE`.
        """
        problems = details.problems()
        if not details.name.strip():
            problems.append(("name", "must not be empty"))
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            problems.append(("expires_at", "must be in the future"))
        _refuse(problems)
        secret = new_secret()
        key = ApiKey(
            id=new_id(),
            digest=digest_of(secret),
            hint=hint_of(secret),
            details=details,
            created_at=now,
            expires_at=expires_at,
        )
        with store_faults():
            await (await self._stored.table()).add([key])
        return NewKey(key, secret)

    async def page(self, token: str, size: int, *, with_revoked: bool) -> KeyPage:
        """List keys: those of the settings by id, then those of the store in the order they were made.

        Args:
            token: `next_token` of the page before; empty for the first.
            size: Most keys of the page.
            with_revoked: Whether revoked keys are listed too.

        Raises:
            ServiceError: `INVALID_REQUEST` for a token of another form, `STORE_UNAVAILABLE`.
        """
        source, _, last = token.partition(":")
        if token and (source not in (_SETTINGS, _STORE) or KEY_ID.fullmatch(last) is None):
            _refuse([("page_token", "must be the next_page_token of an earlier answer")])
        declared = sorted(self._declared(), key=lambda key: key.id)
        found = [key for key in declared if source != _STORE and not (source and key.id <= last)][: size + 1]
        if len(found) <= size:
            after = last if source == _STORE else ""
            with store_faults():
                if (table := await self._stored.table_if_present()) is not None:
                    found += await table.page(after, size + 1 - len(found), with_revoked=with_revoked)
        if len(found) <= size:
            return KeyPage(found, "")
        end = found[size - 1]
        return KeyPage(found[:size], f"{_SETTINGS if end.is_declared else _STORE}:{end.id}")

    async def get(self, key_id: str) -> ApiKey:
        """Return a key by its id.

        Raises:
            ServiceError: `KEY_NOT_FOUND`, `STORE_UNAVAILABLE`.
        """
        declared = next((key for key in self._declared() if key.id == key_id), None)
        if declared is not None:
            return declared
        with store_faults():
            table = await self._table_of(key_id)
            found = None if table is None else await table.get(key_id)
        return _found(found, key_id)

    async def rotate(self, key_id: str, overlap_s: float) -> NewKey:
        """Give a key a new secret; the old one is taken for `overlap_s` seconds more.

        Raises:
            ServiceError: `INVALID_REQUEST`, `KEY_NOT_FOUND`, `KEY_REVOKED`, `DECLARED_IN_SETTINGS`,
                `STORE_UNAVAILABLE`.
        """
        if not 0 <= overlap_s <= MAX_OVERLAP_S:
            _refuse([("overlap_s", f"must be 0 to {MAX_OVERLAP_S:.0f} seconds, was {overlap_s:g}")])
        self._check_changeable(key_id)
        secret = new_secret()
        with store_faults():
            table = await self._table_of(key_id)
            key = None if table is None else await table.rotate(key_id, digest_of(secret), hint_of(secret), overlap_s)
            if key is None and table is not None and await table.get(key_id) is not None:
                message = f"key {key_id} is revoked, which is for good; make another one"
                raise ServiceError(Reason.KEY_REVOKED, message, metadata={"key_id": key_id})
        return NewKey(_found(key, key_id), secret)

    async def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key, for good; one that is revoked stays as it is.

        Raises:
            ServiceError: `KEY_NOT_FOUND`, `DECLARED_IN_SETTINGS`, `STORE_UNAVAILABLE`.
        """
        self._check_changeable(key_id)
        with store_faults():
            table = await self._table_of(key_id)
            key = None if table is None else await table.revoke(key_id)
        return _found(key, key_id)

    async def add(self, keys: Sequence[ImportedKey]) -> list[ApiKey]:
        """Add existing keys without problems, all or none.

        Raises:
            ServiceError: `ALREADY_EXISTS` if one is known, `STORE_UNAVAILABLE`.
        """
        now = self._clock()
        made = [
            ApiKey(
                id=new_id(),
                digest=digest_of(key.secret) if key.secret else parse_digest(key.hash) or "",
                hint=hint_of(key.secret) if key.secret else "",
                details=key.details,
                created_at=now,
                expires_at=key.expires_at,
            )
            for key in keys
        ]
        _refuse_known(made, _repeated(made) | {key.digest for key in self._declared()})
        with store_faults():
            clashing = await (await self._stored.table()).add(made)
        _refuse_known(made, {key.digest for key in made if key.id in clashing})
        return made

    async def _table_of(self, key_id: str) -> KeyTable | None:
        """Return the table that may have a key; None for an id that no key can have, which no database need be sent."""
        return await self._stored.table_if_present() if KEY_ID.fullmatch(key_id) else None

    def _check_changeable(self, key_id: str) -> None:
        if any(key.id == key_id for key in self._declared()):
            setting = "access.bootstrap_key" if key_id == BOOTSTRAP_ID else f"access.keys.{key_id}"
            message = f"{key_id} is a key of the settings ({setting}); change it there"
            raise ServiceError(Reason.DECLARED_IN_SETTINGS, message, metadata={"setting": setting, "key_id": key_id})


def _refuse(problems: Sequence[tuple[str, str]]) -> None:
    if problems:
        raise invalid_request([FieldViolation(name, f"{name} {rule}") for name, rule in problems])


def _repeated(keys: Sequence[ApiKey]) -> set[str]:
    counts = Counter(key.digest for key in keys)
    return {digest for digest, count in counts.items() if count > 1}


def _refuse_known(keys: Sequence[ApiKey], known: set[str]) -> None:
    clashing = [key for key in keys if key.digest in known]
    if clashing:
        names = ", ".join(key.details.name or key.hint or "a hash" for key in clashing[:10])
        message = f"{len(clashing)} keys are known already: {names}; nothing was added, leave them out"
        raise ServiceError(Reason.ALREADY_EXISTS, message, metadata={"keys": names})


def _found(key: ApiKey | None, key_id: str) -> ApiKey:
    if key is None:
        shown = key_id[:_SHOWN_CHARS]
        raise ServiceError(Reason.KEY_NOT_FOUND, f"there is no key {shown}", metadata={"key_id": shown})
    return key
