"""Errors of calls: reasons, status codes and `ServiceError`.

A `Reason` determines the gRPC code and the HTTP status (`STATUS_OF_REASON`; docs/decisions/0024 has the reasons of the
two that say the provider is at fault). Names equal those of `rerank.v1.ErrorReason` and of gRPC's status codes.
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
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105 - a name, no secret
    SESSION_INVALID = "SESSION_INVALID"
    CSRF_TOKEN_INVALID = "CSRF_TOKEN_INVALID"  # noqa: S105 - a name, no secret
    LOGIN_FAILED = "LOGIN_FAILED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    GUARDRAIL_BLOCKED = "GUARDRAIL_BLOCKED"
    GUARDRAIL_UNAVAILABLE = "GUARDRAIL_UNAVAILABLE"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    RERANKER_NOT_FOUND = "RERANKER_NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    RERANKER_UNUSABLE = "RERANKER_UNUSABLE"
    RERANKER_CONFLICT = "RERANKER_CONFLICT"
    RERANKER_IN_USE = "RERANKER_IN_USE"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    RUN_INCOMPLETE = "RUN_INCOMPLETE"
    EXPERIMENT_NOT_FOUND = "EXPERIMENT_NOT_FOUND"
    EXPERIMENT_NOT_RUNNABLE = "EXPERIMENT_NOT_RUNNABLE"
    CAPABILITY_UNSUPPORTED = "CAPABILITY_UNSUPPORTED"
    RATE_LIMITED = "RATE_LIMITED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    LIMITS_UNAVAILABLE = "LIMITS_UNAVAILABLE"
    PROVIDER_RATE_LIMITED = "PROVIDER_RATE_LIMITED"
    NO_HEALTHY_DEPLOYMENT = "NO_HEALTHY_DEPLOYMENT"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    ACCESS_UNAVAILABLE = "ACCESS_UNAVAILABLE"
    DRAINING = "DRAINING"
    PROVIDER_CREDENTIALS_REJECTED = "PROVIDER_CREDENTIALS_REJECTED"
    PROVIDER_BAD_RESPONSE = "PROVIDER_BAD_RESPONSE"
    INTERNAL = "INTERNAL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    SERVICE_DISABLED = "SERVICE_DISABLED"
    DECLARED_IN_SETTINGS = "DECLARED_IN_SETTINGS"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    KEY_REVOKED = "KEY_REVOKED"


STATUS_OF_REASON: Final[Mapping[Reason, tuple[Code, int]]] = {
    Reason.INVALID_REQUEST: (Code.INVALID_ARGUMENT, 400),
    Reason.TOO_MANY_DOCUMENTS: (Code.INVALID_ARGUMENT, 400),
    Reason.PROVIDER_REJECTED_REQUEST: (Code.INVALID_ARGUMENT, 400),
    Reason.API_KEY_MISSING: (Code.UNAUTHENTICATED, 401),
    Reason.API_KEY_INVALID: (Code.UNAUTHENTICATED, 401),
    Reason.TOKEN_INVALID: (Code.UNAUTHENTICATED, 401),
    Reason.SESSION_INVALID: (Code.UNAUTHENTICATED, 401),
    Reason.CSRF_TOKEN_INVALID: (Code.PERMISSION_DENIED, 403),
    Reason.LOGIN_FAILED: (Code.UNAUTHENTICATED, 401),
    Reason.INSUFFICIENT_SCOPE: (Code.PERMISSION_DENIED, 403),
    Reason.MODEL_NOT_ALLOWED: (Code.PERMISSION_DENIED, 403),
    Reason.GUARDRAIL_BLOCKED: (Code.PERMISSION_DENIED, 403),
    Reason.GUARDRAIL_UNAVAILABLE: (Code.UNAVAILABLE, 503),
    Reason.MODEL_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.RERANKER_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.ALREADY_EXISTS: (Code.ALREADY_EXISTS, 409),
    Reason.RERANKER_UNUSABLE: (Code.FAILED_PRECONDITION, 409),
    Reason.RERANKER_CONFLICT: (Code.ABORTED, 409),
    Reason.RERANKER_IN_USE: (Code.FAILED_PRECONDITION, 409),
    Reason.RUN_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.RUN_INCOMPLETE: (Code.FAILED_PRECONDITION, 409),
    Reason.EXPERIMENT_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.EXPERIMENT_NOT_RUNNABLE: (Code.FAILED_PRECONDITION, 409),
    Reason.CAPABILITY_UNSUPPORTED: (Code.FAILED_PRECONDITION, 400),
    Reason.RATE_LIMITED: (Code.RESOURCE_EXHAUSTED, 429),
    Reason.BUDGET_EXCEEDED: (Code.RESOURCE_EXHAUSTED, 429),
    Reason.OVERLOADED: (Code.RESOURCE_EXHAUSTED, 429),
    Reason.LIMITS_UNAVAILABLE: (Code.UNAVAILABLE, 503),
    Reason.PROVIDER_RATE_LIMITED: (Code.RESOURCE_EXHAUSTED, 429),
    Reason.NO_HEALTHY_DEPLOYMENT: (Code.UNAVAILABLE, 503),
    Reason.PROVIDER_UNAVAILABLE: (Code.UNAVAILABLE, 503),
    Reason.ACCESS_UNAVAILABLE: (Code.UNAVAILABLE, 503),
    Reason.DRAINING: (Code.UNAVAILABLE, 503),
    Reason.PROVIDER_CREDENTIALS_REJECTED: (Code.INTERNAL, 502),
    Reason.PROVIDER_BAD_RESPONSE: (Code.INTERNAL, 502),
    Reason.INTERNAL: (Code.INTERNAL, 500),
    Reason.DEADLINE_EXCEEDED: (Code.DEADLINE_EXCEEDED, 504),
    Reason.CANCELLED: (Code.CANCELLED, 499),
    Reason.ROUTE_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.SERVICE_DISABLED: (Code.FAILED_PRECONDITION, 400),
    Reason.DECLARED_IN_SETTINGS: (Code.FAILED_PRECONDITION, 409),
    Reason.STORE_UNAVAILABLE: (Code.UNAVAILABLE, 503),
    Reason.KEY_NOT_FOUND: (Code.NOT_FOUND, 404),
    Reason.KEY_REVOKED: (Code.FAILED_PRECONDITION, 409),
}
"""gRPC code and HTTP status of each reason."""
UPSTREAM_FAULTS: Final = frozenset({Reason.PROVIDER_CREDENTIALS_REJECTED, Reason.PROVIDER_BAD_RESPONSE})
"""Reasons that say the provider, or the operator's contract with it, is at fault and that another try does not help."""


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
    is_final: bool = False
    """Whether no retry helps although the code is one of those that a retry may help."""
    response_metadata: Mapping[str, str] = field(default_factory=dict)
    """Headers or trailing metadata of the response in addition to those of every error; names in lower case."""
    is_recorded: bool = field(default=False, init=False)
    """Whether the record of a call ended with this error, so that the transport makes none for it."""

    def __post_init__(self) -> None:
        super().__init__(self.message)

    @property
    def code(self) -> Code:
        """Status code of the reason."""
        return STATUS_OF_REASON[self.reason][0]

    @property
    def http_status(self) -> int:
        """HTTP status of the reason."""
        return STATUS_OF_REASON[self.reason][1]

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
