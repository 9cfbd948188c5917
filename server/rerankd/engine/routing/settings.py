"""Settings of models: which deployments serve one, and what happens when they fail."""

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
    """`provider/model`. A `*` stands for what the `*` of the model's own name matched."""
    name: str = ""
    """What it is called in answers, logs and metrics; default: `model`."""
    weight: float = 1.0
    """Share of the calls it gets beside the others; 0 only takes over when they cannot."""
    max_concurrent: int | None = None
    """Calls under way at once; further ones wait."""
    max_queued: int = 100
    """Calls that may wait; further ones go elsewhere or are refused with a retry hint."""
    requests_per_minute: int | None = None
    """Calls a minute; further ones go elsewhere or are refused with a retry hint."""
    tokens_per_minute: int | None = None
    """Tokens a minute, by estimate; further calls go elsewhere or are refused with a retry hint."""

    def problems(self, path: str) -> list[str]:
        """Say which numbers cannot be used, as `ModelSettings.problems` does."""
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
    """How often a provider call that failed is made again, at another deployment where there is one."""

    max_attempts: int = 3
    """Provider calls for one chunk, the first included; 1 never retries."""
    initial_delay_ms: float = 100.0
    """Longest pause before the first retry of the same deployment; doubles with each, with full jitter."""
    max_delay_s: float = 5.0
    """Longest pause; a provider that asks for a longer one is not waited for."""
    budget: float = 0.2
    """Retries as a share of first attempts."""
    burst: int = 100
    """Retries that may come at once before `budget` bounds them."""


class CircuitBreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a deployment that fails is left alone."""

    failures: int = 5
    """Failures in a row that start a cooldown; 0 never does."""
    initial_s: float = 5.0
    """First cooldown; doubles each time the one call that probes the deployment fails too."""
    max_s: float = 60.0
    """Longest cooldown."""


class HedgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Second copies of slow calls; the first answer wins and the other call is cancelled."""

    enabled: bool = False
    """Whether slow calls get one."""
    min_delay_ms: float = 10.0
    """A second copy is sent once a call takes longer than 95 % of the deployment's last ones, and than this."""
    budget: float = 0.1
    """Second copies as a share of calls."""
    burst: int = 10
    """Second copies that may be sent at once before `budget` bounds them."""


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model that callers name, or every model that a name with `*` matches."""

    deployments: list[DeploymentSettings] = []
    """What serves it: the same model, or ones whose scores compare. Empty: the model of that name itself."""
    balancing: Balancing = "weighted"
    """Which deployment gets the next call."""
    fallbacks: list[str] = []
    """Models to try, in this order, when this one fails; those a caller names go before."""
    fallback_on: tuple[FallbackReason, ...] = (
        "PROVIDER_UNAVAILABLE",
        "PROVIDER_RATE_LIMITED",
        "PROVIDER_BAD_RESPONSE",
        "PROVIDER_CREDENTIALS_REJECTED",
        "NO_HEALTHY_DEPLOYMENT",
        "OVERLOADED",
        "RATE_LIMITED",
    )
    """Failures after which a fallback is tried."""
    attempt_timeout_s: float | None = None
    """Longest time one provider call may take; default: half of the time left while there is something else to try."""
    retries: RetrySettings = RetrySettings()
    """How often a provider call that failed is made again."""
    cooldown: CircuitBreakerSettings = CircuitBreakerSettings()
    """How long a deployment that fails is left alone."""
    hedge: HedgeSettings = HedgeSettings()
    """Second copies of slow calls."""
    cache: bool = True
    """Whether its scores are kept; only those of pointwise models ever are."""
    normalization: Literal["none", "minmax", "sigmoid"] = "none"
    """What is done to its scores when the caller does not say."""

    def problems(self, path: str) -> list[str]:
        """Say which numbers cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
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
        for index, deployment in enumerate(self.deployments):
            found += deployment.problems(f"{path}.deployments[{index}]")
        return found
