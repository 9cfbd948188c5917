"""Errors as HTTP responses: body and headers of a `ServiceError`, and errors that exist only over HTTP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.gateway.asgi import RawHeaders

_RETRYABLE: Final = frozenset({Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE})
_OVERLOAD_RETRY_S: Final = 1.0
_CHALLENGES: Final = {
    Reason.API_KEY_MISSING: b'Bearer realm="rerankd"',
    Reason.API_KEY_INVALID: b'Bearer realm="rerankd", error="invalid_token"',
    Reason.TOKEN_INVALID: b'Bearer realm="rerankd", error="invalid_token"',
    Reason.SESSION_INVALID: b'Bearer realm="rerankd"',
    Reason.INSUFFICIENT_SCOPE: b'Bearer realm="rerankd", error="insufficient_scope"',
}
"""Values of `www-authenticate` (RFC 6750, section 3)."""


@dataclass(eq=False)
class HttpRefusalError(ServiceError):
    """An error whose HTTP status has no gRPC code, such as 405, 413 and 415."""

    status: int = 400
    """HTTP status."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Headers required by the status, such as `allow`."""

    @property
    def http_status(self) -> int:
        """HTTP status of this error, which overrides that of its reason."""
        return self.status


class ClientGoneError(Exception):
    """The client closed the connection; no response can be sent."""


def payload_too_large(what: str, most: int, unit: str = "bytes") -> HttpRefusalError:
    """Build the 413 for a body or line of more than `most` bytes or other units."""
    message = f"{what} is larger than {most} {unit}; send fewer or shorter documents"
    metadata = {f"max_{unit}": str(most)}
    return HttpRefusalError(Reason.INVALID_REQUEST, message, metadata=metadata, status=413)


def too_slow() -> HttpRefusalError:
    """Build the 408 for a body that does not come in time; the connection is closed."""
    return HttpRefusalError(
        Reason.INVALID_REQUEST,
        "the body did not come in time; send it faster, or on a better connection",
        status=408,
        headers=[(b"connection", b"close")],
    )


def superset_body(error: ServiceError, request_id: str) -> dict[str, Any]:
    """Build an error body with the keys that the clients of all dialects read."""
    violations = [{"field": item.field, "description": item.description} for item in error.violations]
    body: dict[str, Any] = {
        "id": request_id,
        "message": error.message,
        "detail": error.message,
        "status": error.http_status,
        "reason": error.reason.value,
        "error": {
            "message": error.message,
            "type": error.code.name.lower(),
            "code": error.reason.value,
            "param": violations[0]["field"] if violations else None,
        },
    }
    if violations:
        body["fields"] = violations
    return body


def undecided_body(error: ServiceError, request_id: str) -> dict[str, Any]:
    """Build an error body for an unidentified dialect, without `error`, which breaks voyageai before 0.4."""
    body = superset_body(error, request_id)
    del body["error"]
    return body


def render_headers(error: ServiceError) -> RawHeaders:
    """List the headers of an error: its reason, and whether and when to retry."""
    headers: RawHeaders = list(error.headers) if isinstance(error, HttpRefusalError) else []
    headers.append((b"x-error-reason", error.reason.value.encode("ascii")))
    if (challenge := _CHALLENGES.get(error.reason)) is not None:
        headers.append((b"www-authenticate", challenge))
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in error.response_metadata.items()]
    if error.code is Code.UNAUTHENTICATED and (problem := error.metadata.get("problem")):
        headers.append((b"x-error-problem", problem.encode("ascii")))
    if error.code not in _RETRYABLE or error.is_final:
        headers.append((b"x-should-retry", b"false"))
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.code is Code.RESOURCE_EXHAUSTED and not error.is_final:
        retry_after_s = _OVERLOAD_RETRY_S
    if retry_after_s is not None:
        delay_ms = max(1, math.ceil(retry_after_s * 1000))
        headers.append((b"retry-after", b"%d" % math.ceil(delay_ms / 1000)))
        headers.append((b"retry-after-ms", b"%d" % delay_ms))
    return headers
