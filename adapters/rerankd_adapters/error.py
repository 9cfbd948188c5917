"""The error type of adapters."""

from __future__ import annotations

from enum import StrEnum


class AdapterErrorKind(StrEnum):
    """Kind of a failed provider call."""

    REJECTED = "rejected"
    """The request is invalid; never retried."""
    UNSUPPORTED = "unsupported"
    """The model cannot do what a field asks for; never retried."""
    MODEL_NOT_FOUND = "model_not_found"
    CREDENTIALS = "credentials"
    """The operator's credentials were rejected."""
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """The provider could not be reached or failed; may be retried."""
    BAD_RESPONSE = "bad_response"
    """The response violates the provider's API."""
    TIMEOUT = "timeout"
    """The deadline passed before the response."""

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed later at the same provider."""
        return self in (AdapterErrorKind.RATE_LIMITED, AdapterErrorKind.UNAVAILABLE)


class AdapterError(Exception):
    """A failed provider call.

    Args:
        kind: Classification, which decides retry and fallback.
        message: Brief; may quote the provider's message, never a credential or a document.
        field: Path of the offending request field by proto names, if one is at fault.
        retry_after_s: Retry delay requested by the provider, in seconds.
        status: HTTP status of the provider's response, if any.
        max_tokens: If the provider refused a pair as too long: the tokens of query and document that it takes.
    """

    def __init__(
        self,
        kind: AdapterErrorKind,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.status = status
        self.max_tokens = max_tokens
