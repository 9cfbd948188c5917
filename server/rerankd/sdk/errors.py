"""What a failed call raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rerankd.contract.errors import Code, FieldViolation, Reason, ServiceError


@dataclass(eq=False)
class RerankError(Exception):
    """A call failed. The facts are those that the server sends for the same failure.

    A call that cannot be made at all, for an unknown parameter or a wrong type, raises `TypeError` instead.
    """

    reason: Reason
    """Why, such as `MODEL_NOT_FOUND`; `rerank.v1.ErrorReason` documents each. Compares with a plain string."""
    message: str
    """What went wrong and what to do, in one or two sentences."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Everything that varies in `message`."""
    fields: Sequence[FieldViolation] = ()
    """The offending parameters, where the request is at fault."""
    retry_after_s: float | None = None
    """Seconds after which a retry can succeed; None when nothing says so."""

    def __post_init__(self) -> None:
        # All of them, so that the exception survives pickling between processes.
        super().__init__(self.reason, self.message, self.metadata, self.fields, self.retry_after_s)

    @property
    def code(self) -> Code:
        """Code that gRPC has for the reason, such as `INVALID_ARGUMENT`."""
        return self._as_service_error().code

    @property
    def status_code(self) -> int:
        """HTTP status of the code."""
        return self._as_service_error().http_status

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"

    def _as_service_error(self) -> ServiceError:
        return ServiceError(self.reason, self.message)


def error_of(error: ServiceError) -> RerankError:
    """Build the exception for what the engine raised."""
    return RerankError(error.reason, error.message, dict(error.metadata), tuple(error.violations), error.retry_after_s)
