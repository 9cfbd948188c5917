"""Settings of models: deployments, balancing, retries, circuit breaker, hedges, fallbacks."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

Balancing = Literal["weighted", "least-in-flight", "latency", "usage", "cost"]
FallbackReason = Literal[
    "PROVIDER_UNAVAILABLE",
    "PROVIDER_RATE_LIMITED",
    "PROVIDER_BAD_RESPONSE",
    "PROVIDER_CREDENTIALS_REJECTED",
    "NO_HEALTHY_DEPLOYMENT",
    "OVERLOADED",
    "RATE_LIMITED",
    "MODEL_NOT_FOUND",
    "CAPABILITY_UNSUPPORTED",
    "PROVIDER_REJECTED_REQUEST",
]


class DeploymentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to serve a model."""

    model: str
    """`provider/model`. A `*` is replaced by the text that the `*` of the model's name matched."""
    name: str = ""
    """Name in responses, logs and metrics; default: `model`."""
    weight: float = 1.0
    """Relative share of calls; a deployment of weight 0 is used only if no other is available."""
    max_concurrent: int | None = None
    """Maximum calls in flight; further ones queue."""
    max_queued: int = 100
    """Maximum queued calls; further ones go to another deployment or are refused with a retry delay."""
    requests_per_minute: int | None = None
    """Calls per minute; further ones go to another deployment or are refused with a retry delay."""
    tokens_per_minute: int | None = None
    """Estimated tokens per minute; further calls go to another deployment or are refused with a retry delay."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, as `ModelSettings.problems`."""
        least: dict[str, tuple[float | None, int]] = {
            "weight": (self.weight, 0),
            "max_concurrent": (self.max_concurrent, 1),
            "max_queued": (self.max_queued, 0),
            "requests_per_minute": (self.requests_per_minute, 1),
            "tokens_per_minute": (self.tokens_per_minute, 1),
        }
        return [
            f"{path}.{name} must be at least {low}, is {value:g}"
            for name, (value, low) in least.items()
            if value is not None and not low <= value < math.inf
        ]


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Retries of failed provider calls, preferably at another deployment."""

    max_attempts: int = 3
    """Maximum provider calls per chunk, including the first; 1 disables retries."""
    initial_delay_ms: float = 100.0
    """Maximum backoff before the first retry at the same deployment; doubles with each retry, with full jitter."""
    max_delay_s: float = 5.0
    """Maximum backoff; a call with a longer `Retry-After` is not retried at the same deployment."""
    budget: float = 0.2
    """Retries as a share of first attempts, 0 to 1."""
    burst: int = 100
    """Retries allowed in a burst before `budget` limits them."""
    min_per_s: float = 10.0
    """Retries a second that are allowed whatever `budget` says, for models with little traffic."""


class CircuitBreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the circuit breaker of a deployment opens, and for how long."""

    failures: int = 5
    """Consecutive failures that open the circuit breaker; 0 disables it."""
    initial_s: float = 5.0
    """Length of the first cooldown; doubles each time the probe fails."""
    max_s: float = 60.0
    """Maximum length of a cooldown."""


class HedgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hedges: second copies of slow calls. The first reply is used and the other call is cancelled."""

    enabled: bool = False
    """Whether slow calls are hedged."""
    min_delay_ms: float = 10.0
    """Minimum time before a hedge; it is sent after this and the 95th percentile of the deployment's latency."""
    budget: float = 0.1
    """Hedges as a share of calls, 0 to 1."""
    burst: int = 10
    """Hedges allowed in a burst before `budget` limits them."""


class AdaptiveTimeoutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an attempt is given up for another deployment or a fallback, by the latency learnt of its deployment.

    It is given up if there is another one to try and the retry budget allows it; otherwise after twice the limit and
    `initial_s`, if the deployment has answered no other call meanwhile. It then counts as a failure for the circuit
    breaker. The limit is `multiple` times the 99th percentile of replies to calls of similar size.
    """

    multiple: float = 3.0
    """The limit as a multiple of the 99th percentile of the deployment's latency, at least 1."""
    min_s: float = 1.0
    """Lowest limit; set it above the time a deployment may need to start."""
    max_s: float = 60.0
    """Highest limit."""
    initial_s: float = 10.0
    """Lowest limit until the deployment has answered 20 calls; after that, of an attempt with nothing else to try."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, as `ModelSettings.problems`."""
        found = [
            f"{path}.{name} must be above 0, is {value:g}"
            for name, value in msgspec.structs.asdict(self).items()
            if not 0 < value < math.inf
        ]
        if self.multiple < 1:
            found.append(f"{path}.multiple must be at least 1, is {self.multiple:g}")
        if max(self.min_s, self.initial_s) > self.max_s:
            found.append(f"{path}.max_s must be at least min_s and initial_s, is {self.max_s:g}")
        return found


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model, or every model whose name matches a name with `*`."""

    deployments: list[DeploymentSettings] = []
    """Deployments of the same model, or of models with comparable scores. Empty: the model `provider/model` itself."""
    balancing: Balancing = "weighted"
    """How the deployment of the next call is chosen."""
    fallbacks: list[str] = []
    """Models to try in this order if this one fails, after those that the request names."""
    fallback_on: tuple[FallbackReason, ...] = (
        "PROVIDER_UNAVAILABLE",
        "PROVIDER_RATE_LIMITED",
        "PROVIDER_BAD_RESPONSE",
        "PROVIDER_CREDENTIALS_REJECTED",
        "NO_HEALTHY_DEPLOYMENT",
        "OVERLOADED",
        "RATE_LIMITED",
    )
    """Error reasons after which a fallback is tried."""
    attempt_timeout_s: float | None = None
    """Fixed timeout of one provider call; default: `adaptive_timeout`, and half of the remaining time while there is
    another one to try."""
    adaptive_timeout: AdaptiveTimeoutSettings = AdaptiveTimeoutSettings()
    """Adaptive limit of one provider call, unless `attempt_timeout_s` is set."""
    retries: RetrySettings = RetrySettings()
    """Retries of failed provider calls."""
    cooldown: CircuitBreakerSettings = CircuitBreakerSettings()
    """Circuit breaker of its deployments."""
    hedge: HedgeSettings = HedgeSettings()
    """Hedges of slow calls."""
    cache: bool = True
    """Whether its scores are cached; applies to pointwise models only."""
    cut_long_documents: bool = True
    """Whether documents longer than the window are cut before they are sent to a server that refuses them, as llama.cpp
    does; otherwise the call fails with the server's error."""
    normalization: Literal["none", "minmax", "sigmoid"] = "none"
    """Normalisation of its scores unless the request sets one."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each.

        Args:
            path: Settings key of these settings.
        """
        found = []
        if self.attempt_timeout_s is not None and not self.attempt_timeout_s > 0:
            found.append(f"{path}.attempt_timeout_s must be above 0, is {self.attempt_timeout_s:g}")
        if self.retries.max_attempts < 1:
            found.append(f"{path}.retries.max_attempts must be at least 1, is {self.retries.max_attempts}")
        for part, struct in (("retries", self.retries), ("cooldown", self.cooldown), ("hedge", self.hedge)):
            found += [
                f"{path}.{part}.{name} must not be negative, is {value:g}"
                for name, value in msgspec.structs.asdict(struct).items()
                if not isinstance(value, bool) and not value >= 0
            ]
        found += self.adaptive_timeout.problems(f"{path}.adaptive_timeout")
        for index, deployment in enumerate(self.deployments):
            found += deployment.problems(f"{path}.deployments[{index}]")
        return found
