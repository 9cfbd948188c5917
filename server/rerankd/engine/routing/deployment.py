"""One way to serve a model: a provider's model with its limits, its health and what it was seen to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import structs

from rerankd.engine.routing.circuit_breaker import CircuitBreaker
from rerankd.engine.routing.concurrency_limiter import ConcurrencyLimiter
from rerankd.engine.routing.latency import LatencyStats
from rerankd.engine.routing.rate_limiter import RateLimiter
from rerankd.engine.routing.reply_check import check_reply
from rerankd.engine.routing.settings import CircuitBreakerSettings, DeploymentSettings
from rerankd.telemetry.deployment_events import cooldown_started
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelInfo, ModelProvider, ProviderCall, ProviderReply

_UNHEALTHY: Final = frozenset(
    {
        AdapterErrorKind.UNAVAILABLE,
        AdapterErrorKind.RATE_LIMITED,
        AdapterErrorKind.BAD_RESPONSE,
        AdapterErrorKind.CREDENTIALS,
        AdapterErrorKind.TIMEOUT,
    }
)
"""Failures that say something about the deployment, not about the request."""
_FAILED_ALONE: Final = frozenset({AdapterErrorKind.UNAVAILABLE, AdapterErrorKind.RATE_LIMITED})
"""Those that count against the only deployment of a model."""
_PATIENCE_S: Final = 1.0
_PATIENCE: Final = 1.2
"""A call given up before `_PATIENCE_S` and before `_PATIENCE` times the 95th percentile says nothing of health."""


class Deployment:
    """One deployment. For one event loop, any number of tasks.

    Args:
        provider: Who runs it.
        model: The provider's own name of the model.
        options: Its limits.
        cooldown: When its circuit breaker opens, and for how long.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        provider: ModelProvider,
        model: str,
        options: DeploymentSettings,
        cooldown: CircuitBreakerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self.model = model
        self.rename(options.name or f"{provider.name}/{model}")
        self.weight = options.weight
        self.limiter = ConcurrencyLimiter(options.max_concurrent, options.max_queued)
        self.breaker = CircuitBreaker(cooldown, clock)
        self.latency = LatencyStats(clock)
        self.peers: Sequence[Deployment] = ()
        """The others that serve the model."""
        self._clock = clock
        self._requests = RateLimiter(options.requests_per_minute, clock) if options.requests_per_minute else None
        self._tokens = RateLimiter(options.tokens_per_minute, clock) if options.tokens_per_minute else None

    def rename(self, name: str) -> None:
        """Name it so that it can be told from the others."""
        self.name = name
        self.place = (self.provider.name, self.model, name)
        """Provider, the provider's name of the model, own name: what telemetry says of it."""

    @property
    def in_flight(self) -> int:
        """Calls under way or waiting for a place."""
        return self.limiter.in_flight + self.limiter.queued

    @property
    def is_alone(self) -> bool:
        """Whether nothing else can serve the model; being slow is then no reason to leave it alone."""
        return all(peer.breaker.is_tripped for peer in self.peers)

    @property
    def used(self) -> float:
        """Share of its requests and tokens a minute that is used up, whichever is more; 0 without limits."""
        rates = [rate.used for rate in (self._requests, self._tokens) if rate is not None]
        return max(rates, default=0.0)

    @property
    def limits_tokens(self) -> bool:
        """Whether the tokens of a call matter to it."""
        return self._tokens is not None

    def describe(self) -> ModelInfo | None:
        """Describe the model; `None` when the provider does not have it."""
        return self.provider.describe(self.model)

    def rate_wait_s(self, tokens: int) -> float:
        """Seconds until its rates allow a call of so many tokens, 0 when they do."""
        wait_s = self._requests.wait_s(1) if self._requests else 0.0
        return max(wait_s, self._tokens.wait_s(tokens)) if self._tokens else wait_s

    async def call(self, call: ProviderCall, tokens: int, timeout_s: float | None) -> ProviderReply:
        """Make one provider call and check its reply.

        Args:
            call: What is asked; `model` is replaced by the deployment's own.
            tokens: Estimate of what it reads.
            timeout_s: Longest time it may take, waiting included; `None` without a limit.

        Raises:
            AdapterError: What the provider did instead of answering.
            QueueFullError: When it takes no further call.
        """
        if timeout_s is not None:
            deadline_s = time.monotonic() + timeout_s
            call = structs.replace(call, model=self.model, deadline_s=deadline_s)
        elif call.model != self.model:
            call = structs.replace(call, model=self.model)
        asked_s = self._clock()
        is_probe = self.breaker.begin()
        # Before the wait for a place, so that those who wait do not together exceed what each was promised.
        self._use_rates(1, tokens)
        if not self.limiter.try_acquire():
            try:
                await self.limiter.acquire(call.priority)
            except BaseException:
                self._use_rates(-1, -tokens)
                self.breaker.abandon(is_probe=is_probe)
                raise
        try:
            reply = await self._checked(call, is_probe=is_probe)
        finally:
            self.limiter.release()
        self.latency.observe(self._clock() - asked_s)
        return reply

    def _use_rates(self, requests: int, tokens: int) -> None:
        if self._requests:
            self._requests.take(requests)
        if self._tokens:
            self._tokens.take(tokens)

    async def _checked(self, call: ProviderCall, *, is_probe: bool) -> ProviderReply:
        began_s = self._clock()
        try:
            reply = await self.provider.rerank(call)
            check_reply(reply, len(call.documents), call.top_n)
        except AdapterError as error:
            self._note_failure(error, self._clock() - began_s, is_probe=is_probe)
            raise
        except BaseException:
            self._note_given_up(self._clock() - began_s, is_probe=is_probe)
            raise
        self.breaker.succeed()
        return reply

    def _note_failure(self, error: AdapterError, elapsed_s: float, *, is_probe: bool) -> None:
        if error.kind is AdapterErrorKind.TIMEOUT:
            self._note_given_up(elapsed_s, is_probe=is_probe)
        elif error.kind in (_FAILED_ALONE if self.is_alone else _UNHEALTHY):
            self._fail(error, is_probe=is_probe)
        elif error.kind is AdapterErrorKind.REJECTED and error.status is not None:
            self.breaker.succeed()
        else:
            self.breaker.abandon(is_probe=is_probe)

    def _note_given_up(self, elapsed_s: float, *, is_probe: bool) -> None:
        """Note a call that was cancelled or timed out: after long enough, that is the deployment's fault."""
        usual_s = self.latency.p95_s
        patience_s = _PATIENCE_S if usual_s is None else min(_PATIENCE * usual_s, _PATIENCE_S)
        if elapsed_s >= patience_s and not self.is_alone:
            self.latency.observe_slow(elapsed_s)
            cause = AdapterError(AdapterErrorKind.UNAVAILABLE, f"no answer within {elapsed_s:.3g} s")
            self._fail(cause, is_probe=is_probe)
        else:
            self.breaker.abandon(is_probe=is_probe)

    def _fail(self, error: AdapterError, *, is_probe: bool) -> None:
        if self.breaker.fail(error, is_probe=is_probe):
            cooldown_started(self.name, self.breaker.remaining_s)
