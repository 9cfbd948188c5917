"""Service errors of failed provider calls and of unavailable models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rerankd.contract.errors import UPSTREAM_FAULTS, FieldViolation, Reason, ServiceError
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd_adapters.base import AdapterError, AdapterErrorKind

REASON_OF_KIND: Final[Mapping[AdapterErrorKind, Reason]] = {
    AdapterErrorKind.REJECTED: Reason.PROVIDER_REJECTED_REQUEST,
    AdapterErrorKind.UNSUPPORTED: Reason.CAPABILITY_UNSUPPORTED,
    AdapterErrorKind.MODEL_NOT_FOUND: Reason.MODEL_NOT_FOUND,
    AdapterErrorKind.CREDENTIALS: Reason.PROVIDER_CREDENTIALS_REJECTED,
    AdapterErrorKind.RATE_LIMITED: Reason.PROVIDER_RATE_LIMITED,
    AdapterErrorKind.UNAVAILABLE: Reason.PROVIDER_UNAVAILABLE,
    AdapterErrorKind.BAD_RESPONSE: Reason.PROVIDER_BAD_RESPONSE,
    AdapterErrorKind.TIMEOUT: Reason.DEADLINE_EXCEEDED,
}

MAX_TOKENS: Final = "max_tokens"
"""Metadata of a pair refused as too long: the tokens of query and document that the provider takes."""
_DOCUMENT: Final = re.compile(r"documents\[(\d+)\]")
_QUEUE_RETRY_AFTER_S: Final = 1.0


def service_error(error: AdapterError, deployment: Deployment, indices: Sequence[int] = ()) -> ServiceError:
    """Convert an adapter error to a service error.

    Args:
        error: The provider's failure; its `field` names documents by position in the chunk.
        deployment: The deployment that failed.
        indices: Index in the request of each document of the chunk; empty if it equals the position.
    """
    metadata = {"provider": deployment.provider.name, "model": deployment.name}
    if error.status is not None:
        metadata["provider_status"] = str(error.status)
    if error.max_tokens is not None:
        metadata[MAX_TOKENS] = str(error.max_tokens)
    violations = []
    if error.field:
        field = _DOCUMENT.sub(lambda found: f"documents[{_request_index(int(found[1]), indices)}]", error.field)
        violations.append(FieldViolation(field, error.message))
    return ServiceError(
        REASON_OF_KIND[error.kind],
        f"{deployment.name}: {error.message}",
        metadata=metadata,
        violations=violations,
        retry_after_s=error.retry_after_s,
    )


def _request_index(index: int, indices: Sequence[int]) -> int:
    return indices[index] if index < len(indices) else index


def no_healthy_deployment(group: ModelGroup) -> ServiceError:
    """Build the error for a model all of whose circuit breakers are open."""
    wait_s = round(max(min(each.breaker.remaining_s for each in group.deployments), 0.1), 1)
    causes = [(each.name, each.breaker.last_failure) for each in group.deployments]
    messages = "; ".join(dict.fromkeys(f"{name}: {cause.message}" for name, cause in causes if cause))
    is_throttled = all(cause and cause.kind is AdapterErrorKind.RATE_LIMITED for _, cause in causes)
    return ServiceError(
        Reason.PROVIDER_RATE_LIMITED if is_throttled else Reason.NO_HEALTHY_DEPLOYMENT,
        f"{group.name} is unhealthy; its circuit breaker is open for {wait_s} s; last failure: {messages}",
        metadata={"model": group.name, "deployments": str(len(group.deployments))},
        retry_after_s=wait_s,
    )


def overloaded(group: ModelGroup) -> ServiceError:
    """Build the error for a model whose deployments are all at their concurrency limit with full queues."""
    return ServiceError(
        Reason.OVERLOADED,
        f"every deployment of {group.name} is at its concurrency limit and its queue is full; try again shortly",
        metadata={"limit": "max_queued", "model": group.name},
        retry_after_s=_QUEUE_RETRY_AFTER_S,
    )


def rate_limited(group: ModelGroup, wait_s: float) -> ServiceError:
    """Build the error for a model whose deployments are all at their limit of requests or tokens per minute."""
    wait_s = round(max(wait_s, 0.1), 1)
    return ServiceError(
        Reason.RATE_LIMITED,
        f"every deployment of {group.name} is at its limit of requests or tokens per minute; try again in {wait_s} s",
        metadata={"limit": "requests_per_minute", "model": group.name},
        retry_after_s=wait_s,
    )


def combine_errors(errors: Sequence[ServiceError], model: str) -> ServiceError:
    """Combine the errors of all attempts into one, with the reason of the last.

    Args:
        errors: n errors, n >= 1, in the order of the attempts.
        model: Public name of the model.
    """
    last = errors[-1]
    messages = list(dict.fromkeys(str(error) for error in errors))
    if len(errors) == 1:
        return last
    metadata = dict(last.metadata) | {"attempts": str(len(errors))}
    message = last.message if len(messages) == 1 else f"every deployment of {model} failed: {'; '.join(messages)}"
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return ServiceError(
        last.reason,
        message,
        metadata=metadata,
        violations=last.violations,
        retry_after_s=min(waits, default=None),
    )


class ModelFailure(NamedTuple):
    """A model that failed, with its error."""

    model: str
    """Public name."""
    error: ServiceError


def all_models_failed(failures: Sequence[ModelFailure]) -> ServiceError:
    """Combine the errors of all models of a request, n >= 1, into one."""
    errors = [failed.error for failed in failures]
    last = errors[-1]
    if len(errors) == 1:
        return last
    reasons = {error.reason for error in errors}
    messages = "; ".join(
        f"{failed.model}: {failed.error}" if failed.model not in str(failed.error) else str(failed.error)
        for failed in failures
    )
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return ServiceError(
        last.reason if len(reasons) == 1 or reasons <= UPSTREAM_FAULTS else Reason.PROVIDER_UNAVAILABLE,
        f"all {len(errors)} models failed: {messages}",
        metadata={f"failure_{index}": str(error) for index, error in enumerate(errors)},
        retry_after_s=min(waits, default=None),
    )
