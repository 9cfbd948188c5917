"""Errors of calls: reasons, status codes and `ServiceError`.

A `Reason` determines the gRPC code (`CODE_OF_REASON`), and the code determines the HTTP status
(`HTTP_STATUS_OF_CODE`). Names equal those of `rerank.v1.ErrorReason` and of gRPC's status codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

DOMAIN: Final = "rerankd"
"""`domain` of every `google.rpc.ErrorInfo` this service sends."""


class Code(IntEnum):
    """gRPC's canonical status codes, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Reason(StrEnum):
    """Why a call failed; `protos/rerank/v1/error_reason.proto` documents each."""

    INVALID_REQUEST = "INVALID_REQUEST"
    TOO_MANY_DOCUMENTS = "TOO_MANY_DOCUMENTS"
    PROVIDER_REJECTED_REQUEST = "PROVIDER_REJECTED_REQUEST"
    API_KEY_MISSING = "API_KEY_MISSING"
    API_KEY_INVALID = "API_KEY_INVALID"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    GUARDRAIL_BLOCKED = "GUARDRAIL_BLOCKED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    RERANKER_NOT_FOUND = "RERANKER_NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    CAPABILITY_UNSUPPORTED = "CAPABILITY_UNSUPPORTED"
    RATE_LIMITED = "RATE_LIMITED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    PROVIDER_RATE_LIMITED = "PROVIDER_RATE_LIMITED"
    NO_HEALTHY_DEPLOYMENT = "NO_HEALTHY_DEPLOYMENT"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    DRAINING = "DRAINING"
    PROVIDER_CREDENTIALS_REJECTED = "PROVIDER_CREDENTIALS_REJECTED"
    PROVIDER_BAD_RESPONSE = "PROVIDER_BAD_RESPONSE"
    INTERNAL = "INTERNAL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"


CODE_OF_REASON: Final[Mapping[Reason, Code]] = {
    Reason.INVALID_REQUEST: Code.INVALID_ARGUMENT,
    Reason.TOO_MANY_DOCUMENTS: Code.INVALID_ARGUMENT,
    Reason.PROVIDER_REJECTED_REQUEST: Code.INVALID_ARGUMENT,
    Reason.API_KEY_MISSING: Code.UNAUTHENTICATED,
    Reason.API_KEY_INVALID: Code.UNAUTHENTICATED,
    Reason.MODEL_NOT_ALLOWED: Code.PERMISSION_DENIED,
    Reason.GUARDRAIL_BLOCKED: Code.PERMISSION_DENIED,
    Reason.MODEL_NOT_FOUND: Code.NOT_FOUND,
    Reason.RERANKER_NOT_FOUND: Code.NOT_FOUND,
    Reason.ALREADY_EXISTS: Code.ALREADY_EXISTS,
    Reason.CAPABILITY_UNSUPPORTED: Code.FAILED_PRECONDITION,
    Reason.RATE_LIMITED: Code.RESOURCE_EXHAUSTED,
    Reason.BUDGET_EXCEEDED: Code.RESOURCE_EXHAUSTED,
    Reason.OVERLOADED: Code.RESOURCE_EXHAUSTED,
    Reason.PROVIDER_RATE_LIMITED: Code.RESOURCE_EXHAUSTED,
    Reason.NO_HEALTHY_DEPLOYMENT: Code.UNAVAILABLE,
    Reason.PROVIDER_UNAVAILABLE: Code.UNAVAILABLE,
    Reason.DRAINING: Code.UNAVAILABLE,
    Reason.PROVIDER_CREDENTIALS_REJECTED: Code.INTERNAL,
    Reason.PROVIDER_BAD_RESPONSE: Code.INTERNAL,
    Reason.INTERNAL: Code.INTERNAL,
    Reason.DEADLINE_EXCEEDED: Code.DEADLINE_EXCEEDED,
    Reason.CANCELLED: Code.CANCELLED,
    Reason.ROUTE_NOT_FOUND: Code.NOT_FOUND,
}

HTTP_STATUS_OF_CODE: Final[Mapping[Code, int]] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """An invalid field of a request."""

    field: str
    """Field path with proto names, such as `documents[3].text`."""
    description: str
    """A sentence that names the field: "top_n must be at least 1"."""


@dataclass(eq=False)
class ServiceError(Exception):
    """A failed call, with the reason for the caller.

    Transports convert it to a status; any other exception is a bug and becomes `INTERNAL` without its text.
    """

    reason: Reason
    message: str
    """Brief, names values, says what to do. No secrets, no document text."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every dynamic value of `message`."""
    violations: Sequence[FieldViolation] = ()
    """The invalid fields, for `INVALID_REQUEST` and similar reasons."""
    retry_after_s: float | None = None
    """Retry delay in seconds; `None` if a retry does not help or its delay is unknown."""

    def __post_init__(self) -> None:
        super().__init__(self.message)

    @property
    def code(self) -> Code:
        """Status code of the reason."""
        return CODE_OF_REASON[self.reason]

    @property
    def http_status(self) -> int:
        """HTTP status of the code."""
        return HTTP_STATUS_OF_CODE[self.code]

    def __str__(self) -> str:
        return self.message


MAX_VIOLATIONS: Final = 20
"""Maximum violations reported for one request."""


def invalid_request(violations: Sequence[FieldViolation]) -> ServiceError:
    """Build an `INVALID_REQUEST` error.

    Args:
        violations: n invalid fields, n >= 1.
    """
    fields = [violation.field for violation in violations]
    message = "; ".join(violation.description for violation in violations[:5])
    if len(violations) > 5:
        message += f"; and {len(violations) - 5} more"
    return ServiceError(
        Reason.INVALID_REQUEST, message, metadata={"fields": ",".join(fields[:20])}, violations=violations
    )


def deadline_exceeded() -> ServiceError:
    """Build the error for a call whose deadline has passed."""
    return ServiceError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the answer was ready; allow more time")
