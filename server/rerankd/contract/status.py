"""Builds `google.rpc.Status` messages of errors, for both transports and for batch items."""

from __future__ import annotations

from typing import Any

from rerankd.contract.errors import DOMAIN, Code, Reason, ServiceError
from rerankd.contract.messages import Status

OK = Status(code=0, message="", details=[])

_TYPE = "type.googleapis.com/google.rpc."


def status_of(error: ServiceError) -> Status:
    """Build the status of `error` with ErrorInfo, BadRequest, QuotaFailure and RetryInfo where they apply."""
    details: list[dict[str, Any]] = [
        {
            "@type": _TYPE + "ErrorInfo",
            "reason": error.reason.value,
            "domain": DOMAIN,
            "metadata": dict(error.metadata),
        }
    ]
    if error.violations:
        violations = [{"field": v.field, "description": v.description} for v in error.violations]
        details.append({"@type": _TYPE + "BadRequest", "fieldViolations": violations})
    if error.code is Code.RESOURCE_EXHAUSTED:
        subject = error.metadata.get("limit", error.reason.value.lower())
        violation = {"subject": subject, "description": error.message}
        details.append({"@type": _TYPE + "QuotaFailure", "violations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": f"{error.retry_after_s:.3f}s"})
    return Status(code=int(error.code), message=error.message, details=details)


def internal_error(request_id: str) -> ServiceError:
    """Build the error of an unexpected exception, which is logged under the same request id."""
    return ServiceError(
        Reason.INTERNAL,
        f"internal error; the server's log has the details under request id {request_id}",
        metadata={"request_id": request_id},
    )
