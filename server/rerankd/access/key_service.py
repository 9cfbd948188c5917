"""`AccessService`: API keys and spend over the transports, for callers who have been admitted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

from rerankd.access.api_key import ApiKey, KeyDetails
from rerankd.access.key_inventory import ImportedKey, KeyInventory
from rerankd.access.key_settings import utc
from rerankd.access.scopes import DEFAULT_SCOPES
from rerankd.access.spend.spend_service import SpendService
from rerankd.contract import access_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, invalid_request

_DEFAULT_PAGE_SIZE: Final = 100
_MAX_PAGE_SIZE: Final = 1000
_MAX_IMPORTED: Final = 1000
_DEFAULT_OVERLAP_S: Final = 86_400.0

_log = structlog.get_logger("rerankd.access")


class KeyService:
    """Manages keys, and has spend reported. Satisfies `AccessService`. Task-safe.

    Args:
        inventory: The keys.
        on_change: Called when a key has been changed, so that this process need not wait to learn of it.
        spend: Reports spend.
    """

    def __init__(
        self, inventory: KeyInventory, on_change: Callable[[], Awaitable[object]], spend: SpendService
    ) -> None:
        self._inventory = inventory
        self._spend = spend
        self._on_change = on_change

    async def create_key(self, request: messages.CreateKeyRequest, call: CallContext) -> messages.CreateKeyResponse:
        """Make a key."""
        made = await self._inventory.create(_details_of(request), _seconds(request.expires_at))
        _log.info("API key created", key_id=made.key.id, by=call.caller.identity)
        return messages.CreateKeyResponse(key=message_of(made.key), secret=made.secret)

    async def list_keys(self, request: messages.ListKeysRequest, _call: CallContext) -> messages.ListKeysResponse:
        """List one page of keys."""
        size = _DEFAULT_PAGE_SIZE if request.page_size is None else request.page_size
        if not 1 <= size <= _MAX_PAGE_SIZE:
            rule = f"page_size must be 1 to {_MAX_PAGE_SIZE}, was {size}"
            raise invalid_request([FieldViolation("page_size", rule)])
        page = await self._inventory.page(request.page_token, size, with_revoked=request.with_revoked)
        return messages.ListKeysResponse(keys=list(map(message_of, page.keys)), next_page_token=page.next_token)

    async def get_key(self, request: messages.GetKeyRequest, _call: CallContext) -> messages.GetKeyResponse:
        """Return one key."""
        return messages.GetKeyResponse(key=message_of(await self._inventory.get(_key_id(request))))

    async def rotate_key(self, request: messages.RotateKeyRequest, call: CallContext) -> messages.RotateKeyResponse:
        """Give a key a new secret."""
        overlap_s = _DEFAULT_OVERLAP_S if request.overlap_s is None else request.overlap_s
        made = await self._inventory.rotate(_key_id(request), overlap_s)
        await self._on_change()
        _log.info("API key rotated", key_id=made.key.id, by=call.caller.identity)
        return messages.RotateKeyResponse(key=message_of(made.key), secret=made.secret)

    async def revoke_key(self, request: messages.RevokeKeyRequest, call: CallContext) -> messages.RevokeKeyResponse:
        """Revoke a key."""
        key = await self._inventory.revoke(_key_id(request))
        await self._on_change()
        _log.info("API key revoked", key_id=key.id, by=call.caller.identity)
        return messages.RevokeKeyResponse(key=message_of(key))

    async def import_keys(self, request: messages.ImportKeysRequest, call: CallContext) -> messages.ImportKeysResponse:
        """Add existing keys."""
        if not 1 <= len(request.keys) <= _MAX_IMPORTED:
            rule = f"keys must have 1 to {_MAX_IMPORTED} items, has {len(request.keys)}"
            raise invalid_request([FieldViolation("keys", rule)])
        keys = [ImportedKey(_details_of(key), key.secret, key.hash, _seconds(key.expires_at)) for key in request.keys]
        violations = [
            FieldViolation(f"keys[{number}].{name}", f"keys[{number}].{name} {rule}")
            for number, key in enumerate(keys)
            for name, rule in key.problems()
        ]
        if violations:
            raise invalid_request(violations[:MAX_VIOLATIONS])
        added = await self._inventory.add(keys)
        _log.info("API keys imported", keys=len(added), by=call.caller.identity)
        return messages.ImportKeysResponse(keys=list(map(message_of, added)))

    async def list_spend(self, request: messages.ListSpendRequest, call: CallContext) -> messages.ListSpendResponse:
        """Report spend."""
        return await self._spend.list_spend(request, call)


def message_of(key: ApiKey) -> messages.ApiKey:
    """Return what may be known of a key."""
    details = key.details
    return messages.ApiKey(
        id=key.id,
        name=details.name,
        owner=details.owner,
        group=details.group,
        tags=list(details.tags),
        models=list(details.models),
        scopes=list(details.scopes),
        hint=key.hint,
        created_at=_time(key.created_at or None),
        expires_at=_time(key.expires_at),
        revoked_at=_time(key.revoked_at),
        old_secret_expires_at=_time(key.old_expires_at),
        source=messages.KeySource.SETTINGS if key.is_declared else messages.KeySource.STORE,
    )


class _Named(Protocol):
    key_id: str


def _key_id(request: _Named) -> str:
    if not request.key_id:
        raise invalid_request([FieldViolation("key_id", "key_id is required")])
    return request.key_id


def _details_of(request: messages.CreateKeyRequest | messages.ImportedKey) -> KeyDetails:
    return KeyDetails(
        name=request.name,
        owner=request.owner,
        group=request.group,
        tags=tuple(request.tags),
        models=tuple(request.models),
        scopes=tuple(request.scopes) or DEFAULT_SCOPES,
    )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)
