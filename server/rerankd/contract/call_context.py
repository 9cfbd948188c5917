"""Context of a call, passed through all layers beside request and response."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

MAX_REQUEST_ID_CHARS: Final = 128


class Caller(msgspec.Struct, frozen=True):
    """Identity of the caller. Contains no secrets."""

    identity: str = ""
    """Stable name of the caller; empty if anonymous."""
    key_id: str = ""
    """Public id of the API key; empty without one."""
    groups: tuple[str, ...] = ()
    """Groups the caller belongs to."""
    models: tuple[str, ...] = ()
    """Patterns of the names that the caller may send as a model, `*` for any text; empty: all."""


ANONYMOUS: Final = Caller()


class SessionCredentials(msgspec.Struct, frozen=True):
    """What a browser sends of its session."""

    cookie: str
    """Value of the session's cookie."""
    csrf_token: str = ""
    """Value of the header `x-csrf-token`."""
    is_safe: bool = False
    """Whether the request's method changes nothing, so that it needs no CSRF token."""


def no_certificate() -> bytes:
    """Return the empty certificate of a connection without one."""
    return b""


class CallContext(msgspec.Struct, frozen=True):
    """Request id, deadline, transport and caller of a call."""

    request_id: str
    """Identifies the call in logs, headers and `RerankResponse.id`."""
    deadline_s: float | None = None
    """Deadline as `time.monotonic()`, in seconds; `None` without one."""
    transport: str = "grpc"
    """"grpc" or "http"."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """gRPC metadata or HTTP headers, names in lower case."""
    api_version: str = "1"
    """API version of the request, for `Meta.api_version`: "1" or "2"."""
    request_type: str = "rerank"
    """"rerank" or "batch_rerank", for `ExtraFields.request_type`."""
    caller: Caller = ANONYMOUS
    """The caller."""
    ranks_blank_last: bool = False
    """Whether blank documents are ranked last, unscored, instead of refused, unless the settings say otherwise."""
    response_metadata: dict[str, str] = msgspec.field(default_factory=dict)
    """Headers or trailing metadata of the response that layers below the transport set; names in lower case."""
    client_certificate: Callable[[], bytes] = no_certificate
    """Returns the certificate of the connection's client, PEM, which the listener has verified; empty without one."""
    session: SessionCredentials | None = None
    """The session of a browser; only on routes that take one."""
    mapped_parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Names in `provider_options` whose meaning the request's own fields have too, each with the warning for a model
    that does not have the parameter; empty for no warning."""
    dialect: str = ""
    """Dialect of an HTTP request; empty over gRPC."""
    source: str = ""
    """What made the call, for the run log: "playground", "replay" or "api"; empty: as the transport says."""
    replay_of: str = ""
    """Id of the run that is replayed."""
    experiment_id: str = ""
    """Id of the experiment that the call is part of."""

    def remaining_s(self) -> float | None:
        """Return the seconds until the deadline, negative after it; `None` without one."""
        return None if self.deadline_s is None else self.deadline_s - time.monotonic()


def usable_request_id(given: str | None) -> str:
    """Return the caller's id if it is printable ASCII of at most 128 characters, else 32 hex digits.

    Twelve of these are the milliseconds since 1970 and the others random, so that an index of them grows at its end: at
    random places, an entry costs a page that is written to disk (docs/decisions/0059).
    """
    if given and len(given) <= MAX_REQUEST_ID_CHARS and given.isascii() and given.isprintable():
        return given
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
