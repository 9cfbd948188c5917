"""One way to serve a model: a provider's model with limits, circuit breaker and latency statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import structs

from rerankd.engine.routing.circuit_breaker import CircuitBreaker
from rerankd.engine.routing.concurrency_limiter import ConcurrencyLimiter
from rerankd.engine.routing.latency import LatencyStats
from rerankd.engine.routing.latency_by_size import LatencyBySize
from rerankd.engine.routing.rate_limiter import RateLimiter
from rerankd.engine.routing.reply_check import check_routed
from rerankd.engine.routing.settings import CircuitBreakerSettings, DeploymentSettings
from rerankd.engine.time_limits import TimeLimit
from rerankd.telemetry.deployment_events import cooldown_started
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelInfo, ModelProvider
from rerankd_adapters.call import R, RoutedCall

_UNHEALTHY: Final = frozenset(
    {
        AdapterErrorKind.UNAVAILABLE,
        AdapterErrorKind.RATE_LIMITED,
        AdapterErrorKind.BAD_RESPONSE,
        AdapterErrorKind.CREDENTIALS,
        AdapterErrorKind.TIMEOUT,
    }
)
"""Failures that count against the deployment, not the request."""
_UNHEALTHY_IF_LAST: Final = frozenset({AdapterErrorKind.UNAVAILABLE, AdapterErrorKind.RATE_LIMITED})
"""Those that count against the last available deployment of a model."""
_SLOW_CALL_S: Final = 1.0
"""A cancelled call counts as a failure after this time, or after less by `_SLOW_CALL_FACTOR`."""
_SLOW_CALL_FACTOR: Final = 1.2
"""A cancelled call counts as a failure after this multiple of the 95th percentile of latency."""
_QUIET_FACTOR: Final = 2.0
"""A deployment with calls in flight is quiet after this multiple of the 95th percentile without a reply."""
_MIN_QUIET_S: Final = 0.1
"""It is not quiet before this."""
_STEADY_REPLIES: Final = 20
_SENT_SHARE: Final = 0.5
"""Share of an attempt's limit that the provider must have had to be blamed; a call may have queued for the rest."""


class Deployment:
    """One deployment. Safe for concurrent tasks of one event loop.

    Args:
        provider: Sends the calls.
        model: The provider's name of the model.
        options: Name, weight and limits.
        cooldown: Settings of the circuit breaker.
        clock: Monotonic clock, in seconds.
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
        self.latency_by_size = LatencyBySize()
        self.answered = 0
        """Replies so far."""
        self._answered_at_failure = 0
        self.cut_off = 0
        """Attempts that a limit ended one after the other since the last reply; concurrent ones count once."""
        self.peers: Sequence[Deployment] = ()
        """The other deployments of the model."""
        self.is_known = False
        """Whether the settings or the provider list the model, or the provider has answered a call with it."""
        self._clock = clock
        self._heard_s = clock()
        self._requests = RateLimiter(options.requests_per_minute, clock) if options.requests_per_minute else None
        self._tokens = RateLimiter(options.tokens_per_minute, clock) if options.tokens_per_minute else None

    def rename(self, name: str) -> None:
        """Set a name that is unique within the model group."""
        self.name = name
        self.telemetry_labels = (self.provider.name, self.model, name)
        """Provider, the provider's name of the model, deployment name."""

    @property
    def in_flight(self) -> int:
        """Calls in flight or queued."""
        return self.limiter.in_flight + self.limiter.queued

    @property
    def is_last_available(self) -> bool:
        """Whether every peer's circuit breaker is open or half-open; slowness then does not open this one."""
        return all(peer.breaker.is_tripped for peer in self.peers)

    @property
    def is_quiet(self) -> bool:
        """Whether calls are in flight and none was answered for longer than usual; others are then preferred."""
        if not self.limiter.in_flight:
            return False
        usual_s = self.latency.p95_s
        if usual_s is None:
            usual_s = min((peer.latency.p95_s or _SLOW_CALL_S for peer in self.peers), default=_SLOW_CALL_S)
        return self._clock() - self._heard_s > max(_QUIET_FACTOR * usual_s, _MIN_QUIET_S)

    @property
    def is_steady(self) -> bool:
        """Whether it has answered so many calls since it last failed that another one is no risk."""
        return self.answered - self._answered_at_failure >= _STEADY_REPLIES

    @property
    def utilisation(self) -> float:
        """Highest utilisation of the limits of requests and tokens per minute, 0 to 1 and above; 0 without limits."""
        rates = [rate.utilisation for rate in (self._requests, self._tokens) if rate is not None]
        return max(rates, default=0.0)

    @property
    def limits_tokens(self) -> bool:
        """Whether it has a limit of tokens per minute."""
        return self._tokens is not None

    def describe(self) -> ModelInfo | None:
        """Return the description of the model; `None` if the provider does not have it."""
        return self.provider.describe(self.model)

    def rate_wait_s(self, tokens: int) -> float:
        """Return the seconds until the rate limits allow a call of `tokens` tokens; 0 if they do now."""
        wait_s = self._requests.wait_s(1) if self._requests else 0.0
        return max(wait_s, self._tokens.wait_s(tokens)) if self._tokens else wait_s

    async def call(
        self,
        call: RoutedCall[R],
        tokens: int,
        timeout_s: float | None,
        limit: TimeLimit | None = None,
        *,
        size: int = 0,
    ) -> R:
        """Make one provider call and check its reply.

        Args:
            call: The call; its `model` is replaced by this deployment's.
            tokens: Estimated tokens of the call, for the rate limit.
            timeout_s: Timeout in seconds, queueing included; `None` without one.
            limit: Limit within which the call is awaited; a call that it ends counts as a failure.
            size: Of the call, by its `size`, to learn the latency of calls of this size; 0: it is not learnt.

        Raises:
            AdapterError: The provider failed, or its reply is invalid.
            QueueFullError: The concurrency limit is reached and the queue is full.
        """
        if timeout_s is not None:
            deadline_s = time.monotonic() + timeout_s
            call = structs.replace(call, model=self.model, deadline_s=deadline_s)
        elif call.model != self.model:
            call = structs.replace(call, model=self.model)
        started_s = self._clock()
        is_probe = self.breaker.begin()
        # Before queueing, so that queued calls count towards the rate limits.
        self._consume_rates(1, tokens)
        if not self.limiter.try_acquire():
            try:
                await self.limiter.acquire(call.priority)
            except BaseException:
                self._consume_rates(-1, -tokens)
                self.breaker.abandon(is_probe=is_probe)
                raise
        if self.limiter.in_flight == 1:
            self._heard_s = self._clock()
        try:
            reply = await self._checked(call, limit, is_probe=is_probe)
        finally:
            self.limiter.release()
        self._observe(size, started_s)
        return reply

    def _observe(self, size: int, started_s: float) -> None:
        self._heard_s = now_s = self._clock()
        self.answered += 1
        self.cut_off = 0
        self.latency.observe(now_s - started_s)
        if size:
            self.latency_by_size.observe(size, now_s - started_s)

    def _consume_rates(self, requests: int, tokens: int) -> None:
        if self._requests:
            self._requests.take(requests)
        if self._tokens:
            self._tokens.take(tokens)

    async def _checked(self, call: RoutedCall[R], limit: TimeLimit | None, *, is_probe: bool) -> R:
        sent_s, cut_off = self._clock(), self.cut_off
        try:
            reply = await call.send_to(self.provider)
            check_routed(call, reply)
        except AdapterError as error:
            self._record_failure(error, self._clock() - sent_s, is_probe=is_probe)
            raise
        except BaseException:
            elapsed_s = self._clock() - sent_s
            if limit is not None and limit.has_ended and elapsed_s >= _SENT_SHARE * limit.seconds:
                self.cut_off = max(self.cut_off, cut_off + 1)
                self._record_slow(elapsed_s, is_probe=is_probe)
            else:
                self._record_abandoned(elapsed_s, is_probe=is_probe)
            raise
        self.breaker.succeed()
        self.is_known = True
        return reply

    def _record_failure(self, error: AdapterError, elapsed_s: float, *, is_probe: bool) -> None:
        if error.kind is AdapterErrorKind.TIMEOUT:
            self._record_abandoned(elapsed_s, is_probe=is_probe)
        elif error.kind in (_UNHEALTHY_IF_LAST if self.is_last_available else _UNHEALTHY):
            self._fail(error, is_probe=is_probe)
        elif error.kind is AdapterErrorKind.REJECTED and error.status is not None:
            self.breaker.succeed()
        else:
            self.breaker.abandon(is_probe=is_probe)

    def _record_abandoned(self, elapsed_s: float, *, is_probe: bool) -> None:
        """Record a cancelled or timed-out call; a slow one counts as a failure of the deployment."""
        usual_s = self.latency.p95_s
        slow_s = _SLOW_CALL_S if usual_s is None else min(_SLOW_CALL_FACTOR * usual_s, _SLOW_CALL_S)
        if elapsed_s >= slow_s and not self.is_last_available:
            self._record_slow(elapsed_s, is_probe=is_probe)
        else:
            self.breaker.abandon(is_probe=is_probe)

    def _record_slow(self, elapsed_s: float, *, is_probe: bool) -> None:
        self.latency.observe_slow(elapsed_s)
        cause = AdapterError(AdapterErrorKind.UNAVAILABLE, f"no reply within {elapsed_s:.3g} s")
        self._fail(cause, is_probe=is_probe)

    def _fail(self, error: AdapterError, *, is_probe: bool) -> None:
        self._answered_at_failure = self.answered
        if self.breaker.fail(error, is_probe=is_probe):
            cooldown_started(self.name, self.breaker.remaining_s)
