"""Converts gRPC statuses to `AdapterError`.

Reference: https://grpc.io/docs/guides/status-codes and google/rpc/error_details.proto. Facts of 2026-11-21.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall
from rerankd_adapters.failure import clean, retry_after_s, withhold

KIND_OF_CODE: Final[Mapping[grpc.StatusCode, AdapterErrorKind]] = {
    grpc.StatusCode.CANCELLED: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.INVALID_ARGUMENT: AdapterErrorKind.REJECTED,
    grpc.StatusCode.DEADLINE_EXCEEDED: AdapterErrorKind.TIMEOUT,
    grpc.StatusCode.NOT_FOUND: AdapterErrorKind.MODEL_NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: AdapterErrorKind.REJECTED,
    grpc.StatusCode.PERMISSION_DENIED: AdapterErrorKind.CREDENTIALS,
    grpc.StatusCode.RESOURCE_EXHAUSTED: AdapterErrorKind.RATE_LIMITED,
    grpc.StatusCode.FAILED_PRECONDITION: AdapterErrorKind.REJECTED,
    grpc.StatusCode.ABORTED: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.OUT_OF_RANGE: AdapterErrorKind.REJECTED,
    grpc.StatusCode.UNIMPLEMENTED: AdapterErrorKind.BAD_RESPONSE,
    grpc.StatusCode.INTERNAL: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.UNAVAILABLE: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS: AdapterErrorKind.UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED: AdapterErrorKind.CREDENTIALS,
}
"""Status code to error kind; adapters may override it.

UNIMPLEMENTED means that another service runs at the address. tonic sends OUT_OF_RANGE for a message over its limit.
"""

_DETAILS: Final = "grpc-status-details-bin"
_TOO_LARGE: Final = "message larger than max"


def kind_of_code(code: grpc.StatusCode, details: str) -> AdapterErrorKind:
    """Classify a status by code and message."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        # a limit of the client's on what it receives, of either side on what is sent to the server
        is_reply = "CLIENT: Received" in details
        return AdapterErrorKind.BAD_RESPONSE if is_reply else AdapterErrorKind.REJECTED
    return KIND_OF_CODE.get(code, AdapterErrorKind.BAD_RESPONSE)


def failure_of(call: ProviderCall | None, error: grpc.aio.AioRpcError, kind: AdapterErrorKind) -> AdapterError:
    """Build the error of a status other than OK; texts of `call` are removed from its message."""
    details = error.details() or ""
    quote = clean(withhold(details, call) if call else details)
    name = error.code().name
    return AdapterError(
        kind,
        f"gRPC {name}: {quote}" if quote else f"gRPC {name}",
        retry_after_s=_retry_after_s(error.trailing_metadata()),
    )


def _retry_after_s(metadata: grpc.aio.Metadata | None) -> float | None:
    items = dict(metadata or ())
    texts = {key: value for key, value in items.items() if isinstance(value, str)}
    said = retry_after_s(texts, time.time())
    details = items.get(_DETAILS)
    return said if said is not None or not isinstance(details, bytes) else _retry_info_s(details)


def _retry_info_s(details: bytes) -> float | None:
    info = RetryInfo()
    try:
        found = next((each for each in Status.FromString(details).details if each.Unpack(info)), None)
    except DecodeError:
        return None
    delay = info.retry_delay
    seconds = delay.seconds + delay.nanos / 1e9
    return seconds if found is not None and math.isfinite(seconds) and seconds >= 0 else None
