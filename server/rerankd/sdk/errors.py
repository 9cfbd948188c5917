"""The exception of the SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rerankd.contract.errors import Code, FieldViolation, Reason, ServiceError


@dataclass(eq=False)
class RerankError(Exception):
    """A failed call, with the reason, message and metadata that the server would send.

    The in-process counterpart of `rerankd_client.RerankError`. An unknown parameter or a wrong type raises
    `TypeError` instead.
    """

    reason: Reason
    """Name of a `rerank.v1.ErrorReason`, such as `MODEL_NOT_FOUND`. Compares equal to a plain string."""
    message: str
    """What went wrong and what to do, in one or two sentences."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The variable parts of `message`, by name."""
    fields: Sequence[FieldViolation] = ()
    """The offending parameters of an invalid request."""
    retry_after_s: float | None = None
    """Seconds after which a retry may succeed; None without a hint."""

    def __post_init__(self) -> None:
        # All fields as `args`, so that the exception can be pickled.
        super().__init__(self.reason, self.message, self.metadata, self.fields, self.retry_after_s)

    @property
    def code(self) -> Code:
        """Code of the reason in gRPC, such as `INVALID_ARGUMENT`."""
        return self._as_service_error().code

    @property
    def status_code(self) -> int:
        """HTTP status of the reason."""
        return self._as_service_error().http_status

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"

    def _as_service_error(self) -> ServiceError:
        return ServiceError(self.reason, self.message)


def error_of(error: ServiceError) -> RerankError:
    """Convert the engine's error to the SDK's exception."""
    return RerankError(error.reason, error.message, dict(error.metadata), tuple(error.violations), error.retry_after_s)
