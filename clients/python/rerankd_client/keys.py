"""API keys of the server: what `client.keys` sends and returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from rerank.v1 import access_service_pb2 as pb
from rerankd_client.calls import Call, Method


class KeySource(StrEnum):
    """Where a key is kept."""

    UNSPECIFIED = "unspecified"
    """Not known."""
    SETTINGS = "settings"
    """In the server's settings, which alone can change it."""
    STORE = "store"
    """In the server's store."""


class KeyOptions(TypedDict, total=False):
    """Whose a key is, and what it may be used for. None is the same as unset."""

    owner: str | None
    """Who answers for it: a person, a team or a service."""
    group: str | None
    """Group whose limits it shares."""
    tags: Sequence[str] | None
    """Free labels."""
    models: Sequence[str] | None
    """Models that may be named in a call, `*` for any text (`cohere/*`). Unset: all."""
    scopes: Sequence[str] | None
    """What callers may do, such as `rerank`, `models` and `admin`. Unset: `rerank` and `models`."""
    expires_at: datetime | None
    """When it stops, with a time zone. Unset: never."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be known of a key."""

    id: str
    """Public id."""
    name: str
    """What people call it."""
    owner: str
    """Who answers for it."""
    group: str
    """Group whose limits it shares."""
    tags: tuple[str, ...]
    """Free labels."""
    models: tuple[str, ...]
    """Models that may be named in a call; empty: all."""
    scopes: tuple[str, ...]
    """What callers may do."""
    hint: str
    """Last characters of the secret; empty when only its hash is known."""
    created_at: datetime | None
    """When it was made; None for a key of the settings."""
    expires_at: datetime | None
    """When it stops; None: never."""
    revoked_at: datetime | None
    """When it was revoked; None: it was not."""
    old_secret_expires_at: datetime | None
    """When the secret before the last rotation stops; None when there is none."""
    source: KeySource
    """Where it is kept."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its secret, which the server does not keep."""

    key: ApiKey
    """What may be known of it."""
    secret: str = field(repr=False)
    """The key itself."""


@dataclass(frozen=True, slots=True)
class ExistingKey:
    """A key of another gateway, by `secret` or by `hash`."""

    name: str
    """What people call it."""
    secret: str = field(default="", repr=False)
    """The key itself."""
    hash: str = ""
    """Its SHA-256 in hexadecimal digits."""
    options: KeyOptions = field(default_factory=KeyOptions)
    """Whose it is, and what it may be used for."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some of the keys."""

    keys: tuple[ApiKey, ...]
    """Those of the settings first."""
    next_page_token: str
    """Token of the next page; empty on the last."""


_SERVICE: Final = "/rerank.v1.AccessService/"
CREATE_KEY: Final = Method(f"{_SERVICE}CreateKey", pb.CreateKeyResponse)
LIST_KEYS: Final = Method(f"{_SERVICE}ListKeys", pb.ListKeysResponse)
GET_KEY: Final = Method(f"{_SERVICE}GetKey", pb.GetKeyResponse)
ROTATE_KEY: Final = Method(f"{_SERVICE}RotateKey", pb.RotateKeyResponse)
REVOKE_KEY: Final = Method(f"{_SERVICE}RevokeKey", pb.RevokeKeyResponse)
IMPORT_KEYS: Final = Method(f"{_SERVICE}ImportKeys", pb.ImportKeysResponse)


def create_key_call(name: str, options: Mapping[str, Any]) -> Call[NewKey]:
    """Build a `CreateKey` call; raises TypeError for an option there is not, ValueError for a time without a zone."""
    return Call(CREATE_KEY, pb.CreateKeyRequest(name=name, **_fields_of(options)), _decode_new)


def list_keys_call(with_revoked: bool, page_size: int | None, page_token: str) -> Call[KeyPage]:
    """Build the call for one page of keys."""
    request = pb.ListKeysRequest(page_size=page_size, page_token=page_token, with_revoked=with_revoked)
    return Call(LIST_KEYS, request, lambda page: KeyPage(tuple(map(_decode_key, page.keys)), page.next_page_token))


def get_key_call(key_id: str) -> Call[ApiKey]:
    """Build a `GetKey` call."""
    return Call(GET_KEY, pb.GetKeyRequest(key_id=key_id), lambda response: _decode_key(response.key))


def rotate_key_call(key_id: str, overlap_s: float | None) -> Call[NewKey]:
    """Build a `RotateKey` call."""
    return Call(ROTATE_KEY, pb.RotateKeyRequest(key_id=key_id, overlap_s=overlap_s), _decode_new)


def revoke_key_call(key_id: str) -> Call[ApiKey]:
    """Build a `RevokeKey` call."""
    return Call(REVOKE_KEY, pb.RevokeKeyRequest(key_id=key_id), lambda response: _decode_key(response.key))


def import_keys_call(keys: Iterable[ExistingKey]) -> Call[tuple[ApiKey, ...]]:
    """Build an `ImportKeys` call; errors as `create_key_call`."""
    imported = [
        pb.ImportedKey(name=key.name, secret=key.secret, hash=key.hash, **_fields_of(key.options)) for key in keys
    ]
    return Call(
        IMPORT_KEYS, pb.ImportKeysRequest(keys=imported), lambda response: tuple(map(_decode_key, response.keys))
    )


def _fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    if wrong := options.keys() - KeyOptions.__annotations__.keys():
        raise TypeError(f"there is no option {sorted(wrong)[0]!r} of a key")
    fields = {name: value for name, value in options.items() if value is not None}
    expires_at: datetime | None = fields.get("expires_at")
    if expires_at is not None:
        if expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone, such as datetime.UTC")
        fields["expires_at"] = Timestamp()
        fields["expires_at"].FromDatetime(expires_at)
    return fields


def _decode_new(response: pb.CreateKeyResponse | pb.RotateKeyResponse) -> NewKey:
    return NewKey(_decode_key(response.key), response.secret)


def _decode_key(message: pb.ApiKey) -> ApiKey:
    def time_of(name: str) -> datetime | None:
        if not message.HasField(name):  # type: ignore[arg-type]  # a name that is no literal
            return None
        moment: datetime = getattr(message, name).ToDatetime(tzinfo=UTC)
        return moment

    sources = {pb.KEY_SOURCE_SETTINGS: KeySource.SETTINGS, pb.KEY_SOURCE_STORE: KeySource.STORE}
    return ApiKey(
        id=message.id,
        name=message.name,
        owner=message.owner,
        group=message.group,
        tags=tuple(message.tags),
        models=tuple(message.models),
        scopes=tuple(message.scopes),
        hint=message.hint,
        created_at=time_of("created_at"),
        expires_at=time_of("expires_at"),
        revoked_at=time_of("revoked_at"),
        old_secret_expires_at=time_of("old_secret_expires_at"),
        source=sources.get(message.source, KeySource.UNSPECIFIED),
    )
