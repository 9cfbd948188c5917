"""What a failed call raises.

    RerankError                 code, reason, message, metadata, fields, retry_after_s, request_id, quota
    |- InvalidRequest           INVALID_ARGUMENT, OUT_OF_RANGE: change the request; `fields` says where
    |- Unauthenticated          UNAUTHENTICATED: the API key is missing or not valid
    |- PermissionDenied         PERMISSION_DENIED: the key may not do this, or a guardrail refused
    |- NotFound                 NOT_FOUND: no such model, reranker or key; `metadata["suggestion"]` may help
    |- AlreadyExists            ALREADY_EXISTS
    |- FailedPrecondition       FAILED_PRECONDITION: the model, or the server's settings, do not allow it
    |- ResourceExhausted        RESOURCE_EXHAUSTED: rate, budget or load; come back after `retry_after_s`; `quota`
    |- Unavailable              UNAVAILABLE: no server, or none that can answer now
    |- DeadlineExceeded         DEADLINE_EXCEEDED: the deadline passed before the answer came
    |- Cancelled                CANCELLED: the call was cancelled
    `- InternalError            INTERNAL, UNKNOWN, DATA_LOSS: a fault of the server or its provider

Any other code raises `RerankError` itself. The facts come from the `google.rpc` error details that the
server sends with every failure; without them (no server, a proxy in between) `reason` is the name of the
code. A request that cannot be built raises `TypeError` or `ValueError` before anything is sent.
"""

# ruff: noqa: N818 - the names are those of the gRPC codes, which callers know.
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata that holds a serialized `google.rpc.Status`."""
REQUEST_ID_KEY: Final = "x-request-id"
"""Metadata, both ways, that names the call."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that breaks a rule."""

    field: str
    """Path by proto names, such as `documents[3].text`."""
    description: str
    """The rule."""


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """One limit that a call exceeds."""

    subject: str
    """Name of the limit."""
    description: str
    """How it is exceeded."""


@dataclass(eq=False)
class RerankError(Exception):
    """A call, or one item of a batch, failed."""

    code: grpc.StatusCode
    """gRPC status code."""
    reason: str
    """Name of a `rerank.v1.ErrorReason` without its prefix, such as `MODEL_NOT_FOUND`; the code's name
    when the server gave none."""
    message: str
    """What went wrong and what to do, in one or two sentences."""
    metadata: Mapping[str, str]
    """Everything that varies in `message`."""
    fields: tuple[FieldViolation, ...] = ()
    """The offending fields of an invalid request."""
    retry_after_s: float | None = None
    """Seconds after which a retry can succeed; None when the server gave no hint."""
    request_id: str | None = None
    """Finds the call in the server's log; None when no server answered."""
    quota: tuple[QuotaViolation, ...] = ()
    """The limits that a refused call exceeds."""

    def __post_init__(self) -> None:
        # All of them, so that the exception survives pickling between processes.
        answer = (self.metadata, self.fields, self.retry_after_s, self.request_id, self.quota)
        super().__init__(self.code, self.reason, self.message, *answer)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"


class InvalidRequest(RerankError):
    """The request breaks a rule."""


class Unauthenticated(RerankError):
    """The API key is missing or not valid."""


class PermissionDenied(RerankError):
    """The caller may not do this."""


class NotFound(RerankError):
    """No such model, reranker or key."""


class AlreadyExists(RerankError):
    """There is one of this name."""


class FailedPrecondition(RerankError):
    """The model, or the server's settings, do not allow what the request asks for."""


class ResourceExhausted(RerankError):
    """A rate, a budget or the server's capacity is used up."""


class Unavailable(RerankError):
    """No server, or none that can answer now."""


class DeadlineExceeded(RerankError):
    """The deadline passed before the answer came."""


class Cancelled(RerankError):
    """The call was cancelled."""


class InternalError(RerankError):
    """A fault of the server or its provider."""


ERROR_OF_CODE: Final[Mapping[grpc.StatusCode, type[RerankError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.UNKNOWN: InternalError,
    grpc.StatusCode.DATA_LOSS: InternalError,
}

_CODE_OF_NUMBER: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


def error_of_status(status: status_pb2.Status, *, request_id: str | None = None) -> RerankError:
    """Build the exception that a `google.rpc.Status` (code other than OK) describes."""
    code = _CODE_OF_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    info = _find_detail(status, error_details_pb2.ErrorInfo)
    bad_request = _find_detail(status, error_details_pb2.BadRequest)
    retry = _find_detail(status, error_details_pb2.RetryInfo)
    quota = _find_detail(status, error_details_pb2.QuotaFailure)
    metadata = dict(info.metadata) if info else {}
    violations = bad_request.field_violations if bad_request else ()
    return ERROR_OF_CODE.get(code, RerankError)(
        code=code,
        reason=(info.reason if info else "") or code.name,
        message=status.message or code.name,
        metadata=metadata,
        fields=tuple(FieldViolation(violation.field, violation.description) for violation in violations),
        retry_after_s=retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9 if retry else None,
        request_id=request_id or metadata.get("request_id"),
        quota=tuple(QuotaViolation(each.subject, each.description) for each in quota.violations) if quota else (),
    )


def error_of_call(error: grpc.RpcError) -> RerankError:
    """Build the exception for a failed call of `grpc` or `grpc.aio`."""
    trailing: Iterable[tuple[str, Any]] = error.trailing_metadata() or ()  # type: ignore[assignment]  # pairs in `grpc` and `grpc.aio`
    headers = dict(trailing)
    code = error.code()
    status = _parse_status(headers.get(DETAILS_KEY))
    if status is None or status.code != code.value[0]:
        # gRPC's own failures, and a proxy's: there is nothing but the code and a text.
        status = status_pb2.Status(code=code.value[0], message=_explain(error.details() or ""))
    return error_of_status(status, request_id=headers.get(REQUEST_ID_KEY))


def _explain(details: str) -> str:
    """Return gRPC's own text of a failure, or what it means where that can be told."""
    if "http1.x server" in details or "Expected SETTINGS frame" in details:
        return "this looks like an HTTP port: it does not speak HTTP/2 as gRPC does; the gRPC port is usually 50051"
    return details


def _parse_status(serialized: bytes | None) -> status_pb2.Status | None:
    if serialized is None:
        return None
    try:
        return status_pb2.Status.FromString(serialized)
    except DecodeError:
        return None


def _find_detail(status: status_pb2.Status, kind: type[M]) -> M | None:
    for detail in status.details:
        if detail.Is(kind.DESCRIPTOR):
            message = kind()
            try:
                detail.Unpack(message)
            except DecodeError:
                return None
            return message
    return None
