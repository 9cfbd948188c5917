"""What a provider did instead of answering."""

from __future__ import annotations

from enum import StrEnum


class AdapterErrorKind(StrEnum):
    """What a provider did instead of answering."""

    REJECTED = "rejected"
    """The request is invalid; never retried."""
    UNSUPPORTED = "unsupported"
    """The model cannot do what a field asks for; never retried."""
    MODEL_NOT_FOUND = "model_not_found"
    CREDENTIALS = "credentials"
    """The operator's credentials were refused."""
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """It could not be reached or failed; may be retried."""
    BAD_RESPONSE = "bad_response"
    """It broke its own contract."""
    TIMEOUT = "timeout"
    """It did not answer by the deadline."""

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed at the same provider a little later."""
        return self in (AdapterErrorKind.RATE_LIMITED, AdapterErrorKind.UNAVAILABLE)


class AdapterError(Exception):
    """A provider did not answer as asked.

    Args:
        kind: What happened.
        message: Brief; may quote the provider's message, never a credential or a document.
        field: Path of the offending request field by proto names, where one is to blame.
        retry_after_s: Seconds after which the provider said to come back.
        status: The provider's HTTP status, where there was one.
    """

    def __init__(
        self,
        kind: AdapterErrorKind,
        message: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s
        self.status = status
