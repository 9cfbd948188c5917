"""Request headers of a call: media type, request id, deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rerankd.contract.call_context import CallContext, SessionCredentials, no_certificate, usable_request_id
from rerankd.contract.errors import FieldViolation, Reason, deadline_exceeded, invalid_request
from rerankd.gateway.refusal import HttpRefusalError

REQUEST_ID_HEADER: Final = "x-request-id"
TIMEOUT_HEADER: Final = "x-request-timeout-ms"
JSON_TYPES: Final = ("application/json",)
NDJSON_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json")
_LONGEST_TIMEOUT_MS: Final = 24 * 3_600_000.0
_UTF8: Final = frozenset({"utf-8", "utf8"})
_SHOWN_CHARS: Final = 100


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decode the headers, whose names are lower case; the last of repeated headers counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the caller's request id if it is valid, else a new one."""
    return usable_request_id(headers.get(REQUEST_ID_HEADER))


def open_call(
    headers: Mapping[str, str],
    request_id: str,
    api_version: str,
    *,
    ranks_blank_last: bool = False,
    dialect: str = "",
    client_certificate: Callable[[], bytes] = no_certificate,
    session: SessionCredentials | None = None,
) -> CallContext:
    """Build the context of a call.

    Raises:
        ServiceError: `INVALID_REQUEST` for a timeout that is not a number, `DEADLINE_EXCEEDED` for one that
            has passed.
    """
    call = CallContext(
        request_id=request_id,
        deadline_s=_deadline_s(headers.get(TIMEOUT_HEADER)),
        transport="http",
        metadata=headers,
        api_version=api_version,
        ranks_blank_last=ranks_blank_last,
        dialect=dialect,
        client_certificate=client_certificate,
        session=session,
    )
    remaining_s = call.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise deadline_exceeded()
    return call


def _deadline_s(timeout_ms: str | None) -> float | None:
    if timeout_ms is None:
        return None
    try:
        value = float(timeout_ms)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        rule = f"{TIMEOUT_HEADER} must be a number of milliseconds, was {timeout_ms[:_SHOWN_CHARS]!r}"
        raise invalid_request([FieldViolation(TIMEOUT_HEADER, rule)])
    return time.monotonic() + min(value, _LONGEST_TIMEOUT_MS) / 1000


def check_media_type(headers: Mapping[str, str], accepted: tuple[str, ...]) -> None:
    """Check the body's media type, charset and content coding; absent ones are accepted.

    `HttpMiddleware` has removed `content-encoding` where it decodes the body.

    Raises:
        HttpRefusalError: 415 for another type, charset or content coding.
    """
    declared = headers.get("content-type", "")
    if declared and declared not in accepted:
        media_type, _, parameters = declared.partition(";")
        if media_type.strip().lower() not in accepted or not _is_utf8(parameters):
            raise _unsupported("content-type", declared, f"{accepted[0]}, in UTF-8")
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise _unsupported("content-encoding", coding, "gzip, zstd or identity", (b"accept-encoding", b"gzip, zstd"))


def _is_utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _UTF8:
            return False
    return True


def _unsupported(header: str, value: str, wanted: str, *headers: tuple[bytes, bytes]) -> HttpRefusalError:
    shown = value[:_SHOWN_CHARS]
    return HttpRefusalError(
        Reason.INVALID_REQUEST,
        f"{header} {shown} is not supported; send {wanted}",
        metadata={header: shown},
        violations=[FieldViolation(header, f"{header} must be {wanted}, was {shown!r}")],
        status=415,
        headers=headers,
    )
