"""Executes one chunk: chooses a deployment, calls it, retries and hedges.

After a failure, the next attempt goes to a deployment that has not been tried; if there is none and the failure is
retryable, to the same one after a backoff. Attempts are limited by the caller's deadline, `RetrySettings.max_attempts`
and the retry and hedge budgets.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rerankd.contract.errors import ServiceError, deadline_exceeded
from rerankd.engine.routing.concurrency_limiter import QueueFullError
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.failures import no_healthy_deployment, overloaded, rate_limited, service_error
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.telemetry.watches import ChunkWatch
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply

_REQUEST_FAULTS: Final = frozenset({AdapterErrorKind.REJECTED, AdapterErrorKind.UNSUPPORTED})
"""Failures caused by the request: no other deployment is tried."""
_ATTEMPT_SHARE: Final = 0.5
"""Share of the remaining time used as timeout of an attempt while another deployment or model is left to try."""
_MAX_PROBE_WAIT_S: Final = 1.0
"""Longest wait for the probe of a circuit breaker if no other deployment is available."""


@dataclass(slots=True)
class ChunkResult:
    """The reply to a chunk, with its attempts."""

    deployment: Deployment
    reply: ProviderReply
    attempts: int
    """Provider calls made, including hedges."""
    is_hedged: bool
    latency_ms: float
    """Time from the first attempt to the reply."""


@dataclass(slots=True)
class ChunkExecutor:
    """The attempts of one chunk. Used once.

    Args:
        group: Its deployments are called.
        call: The chunk.
        tokens: Estimated tokens of the chunk, for rate limits.
        indices: Index in the request of each document, for errors that name a document.
        has_fallback: Whether another model is tried if this one fails.
        has_siblings: Whether other chunks of the same request are in flight.
        watch: Records attempts, retries and hedges; `None` if the call is not recorded.
        sleep: Waits so many seconds.
        jitter: Returns a random number, 0 to 1.
    """

    group: ModelGroup
    call: ProviderCall
    tokens: int = 0
    indices: Sequence[int] = ()
    has_fallback: bool = False
    has_siblings: bool = False
    watch: ChunkWatch | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    _tried: list[Deployment] = field(default_factory=list)
    _failures: list[tuple[Deployment, AdapterError | QueueFullError]] = field(default_factory=list)
    _attempts: int = 0
    _is_hedged: bool = False

    async def run(self) -> ChunkResult:
        """Return the first reply.

        Raises:
            ServiceError: Every attempt failed, or no deployment is available.
        """
        began_s = time.monotonic()
        group = self.group
        group.retry_budget.deposit()
        while True:
            deployment = self._choose() or await self._choose_later()
            try:
                answered, reply = await self._attempt(deployment)
            except (AdapterError, QueueFullError):
                await self._prepare_next()
                continue
            latency_ms = round((time.monotonic() - began_s) * 1000, 3)
            return ChunkResult(answered, reply, self._attempts, self._is_hedged, latency_ms)

    async def _choose_later(self) -> Deployment:
        """Wait for a deployment to become available and return it."""
        await self._wait_for_recovery()
        chosen = self._choose()
        if chosen is None:
            raise self._none_available()
        return chosen

    def _choose(self) -> Deployment | None:
        """Return the deployment to call, preferably one that was not tried; `None` if none is available."""
        available = self._available()
        if not available:
            return None
        untried = [each for each in available if each not in self._tried] if self._tried else available
        chosen = self.group.balancer.choose(untried or available)
        self._tried.append(chosen)
        return chosen

    async def _wait_for_recovery(self) -> None:
        """Wait until the probe of a half-open circuit breaker ends.

        Refusing calls during the probe would fail calls that a recovered deployment can answer. The wait is limited
        to `_MAX_PROBE_WAIT_S`, except for a retry or a chunk with siblings, whose probe may be one of the siblings.
        """
        deployments, retries = self.group.deployments, self.group.options.retries
        wait_s = min(each.breaker.remaining_s for each in deployments)
        if self.has_siblings and not self._failures and 0 < wait_s <= retries.max_delay_s and self._has_time(wait_s):
            await self.sleep(wait_s + self.jitter() * retries.initial_delay_ms / 1000)
        waits_for_probe = self.has_siblings or self._failures
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if waits_for_probe else _MAX_PROBE_WAIT_S):
                for each in deployments:
                    await each.breaker.wait_for_probe()

    def _available(self) -> list[Deployment]:
        return [each for each in self.group.deployments if self._is_available(each)]

    def _is_available(self, deployment: Deployment) -> bool:
        return (
            not deployment.breaker.is_open
            and not deployment.limiter.refuses(self.call.priority)
            and deployment.rate_wait_s(self.tokens) <= 0
        )

    def _none_available(self) -> ServiceError:
        if self._failures:
            return self._all_failed()
        healthy = [each for each in self.group.deployments if not each.breaker.is_open]
        if not healthy:
            return no_healthy_deployment(self.group)
        unused = [each for each in healthy if not each.limiter.refuses(self.call.priority)]
        if not unused:
            return overloaded(self.group)
        return rate_limited(self.group, min(each.rate_wait_s(self.tokens) for each in unused))

    async def _prepare_next(self) -> None:
        """Wait until the next attempt is due; raise if there are no attempts left."""
        group, retries = self.group, self.group.options.retries
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError) and failure.kind in _REQUEST_FAULTS:
                raise service_error(failure, deployment, self.indices) from failure
        others = [each for each in group.deployments if each not in self._tried and self._is_available(each)]
        is_spent = len(self._failures) >= max(retries.max_attempts, 1)
        delay_s = 0.0 if others else self._delay_s(self._failures[-1][1])
        if delay_s is None or is_spent or not self._has_time(delay_s) or not group.retry_budget.withdraw():
            raise self._all_failed() from None
        if self.watch is not None:
            self.watch.retried(group.name, delay_s, self._failures[-1][1])
        if delay_s > 0:
            await self.sleep(delay_s)

    def _delay_s(self, failure: AdapterError | QueueFullError) -> float | None:
        """Return the backoff in seconds before the same deployments are tried again; `None` if the failure is final."""
        if not isinstance(failure, AdapterError) or not failure.kind.is_retryable:
            return None
        retries = self.group.options.retries
        max_backoff_s = min(retries.initial_delay_ms / 1000 * 2.0 ** (len(self._failures) - 1), retries.max_delay_s)
        required_s = max(failure.retry_after_s or 0.0, min(each.breaker.remaining_s for each in self.group.deployments))
        if required_s > retries.max_delay_s:
            return None
        return required_s + self.jitter() * max_backoff_s

    def _has_time(self, delay_s: float) -> bool:
        return self.call.deadline_s is None or time.monotonic() + delay_s < self.call.deadline_s

    def _all_failed(self) -> ServiceError:
        errors = []
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError):
                errors.append(service_error(failure, deployment, self.indices))
            else:
                errors.append(overloaded(self.group))
        return combine_errors(errors, self.group.name)

    def _timeout_s(self) -> float | None:
        """Return the timeout of the next attempt in seconds; `None` for the deadline of the call."""
        configured_s = self.group.options.attempt_timeout_s
        if self.call.deadline_s is None:
            return configured_s
        left_s = self.call.deadline_s - time.monotonic()
        if left_s <= 0:
            raise deadline_exceeded()
        if configured_s is not None:
            return configured_s if configured_s < left_s else None
        others = any(each not in self._tried and self._is_available(each) for each in self.group.deployments)
        return left_s * _ATTEMPT_SHARE if others or self.has_fallback else None

    async def _attempt(self, deployment: Deployment) -> tuple[Deployment, ProviderReply]:
        timeout_s = self._timeout_s()
        self._attempts += 1
        hedge_after_s = self._hedge_after_s(deployment)
        if hedge_after_s is None or (timeout_s is not None and timeout_s <= hedge_after_s):
            return deployment, await self._call(deployment, timeout_s)
        return await self._hedged(deployment, hedge_after_s, timeout_s)

    async def _call(self, deployment: Deployment, timeout_s: float | None) -> ProviderReply:
        """Make one provider call; record its failure."""
        try:
            if self.watch is None:
                return await self._timed(deployment, timeout_s)
            with self.watch.attempt(deployment.telemetry_labels, self._attempts, len(self.call.documents)) as attempt:
                attempt.reply = await self._timed(deployment, timeout_s)
                return attempt.reply
        except (AdapterError, QueueFullError) as failure:
            self._failures.append((deployment, failure))
            raise

    async def _timed(self, deployment: Deployment, timeout_s: float | None) -> ProviderReply:
        if timeout_s is None:
            return await deployment.call(self.call, self.tokens, None)
        try:
            async with asyncio.timeout(timeout_s):
                return await deployment.call(self.call, self.tokens, timeout_s)
        except TimeoutError:
            raise _too_slow(timeout_s) from None
        except AdapterError as error:
            if error.kind is AdapterErrorKind.TIMEOUT:
                raise _too_slow(timeout_s) from None
            raise

    def _hedge_after_s(self, deployment: Deployment) -> float | None:
        hedge = self.group.options.hedge
        if not hedge.enabled:
            return None
        self.group.hedge_budget.deposit()
        p95_s = deployment.latency.p95_s
        return None if p95_s is None else max(p95_s, hedge.min_delay_ms / 1000)

    async def _hedged(
        self, deployment: Deployment, delay_s: float, timeout_s: float | None
    ) -> tuple[Deployment, ProviderReply]:
        """Call `deployment`, and a second one if it has not replied after `delay_s`; return the first reply."""
        first = asyncio.create_task(self._call(deployment, timeout_s))
        calls = {first: deployment}
        try:
            second, is_late = None, False
            while second is None:
                await asyncio.wait(calls, timeout=delay_s)
                if first.done():
                    return deployment, first.result()
                second = self._choose_hedge(deployment, is_late=is_late)
                is_late = True
            self._attempts += 1
            self._is_hedged = True
            calls[asyncio.create_task(self._call(second, timeout_s))] = second
            return await _first_reply(calls)
        finally:
            for task in calls:
                task.cancel()
            if len(calls) > 1 or not first.done():
                await asyncio.gather(*calls, return_exceptions=True)
            elif not first.cancelled():
                first.exception()

    def _choose_hedge(self, deployment: Deployment, *, is_late: bool) -> Deployment | None:
        """Return the deployment for the hedge; `None` if none is available or the budgets are spent.

        Args:
            deployment: The deployment of the first call.
            is_late: Whether the hedge delay has elapsed twice; the hedge may then use the retry budget.
        """
        candidates = [each for each in self.group.deployments if self._is_available(each)]
        others = [each for each in candidates if each is not deployment]
        if not candidates:
            return None
        is_failing = bool(others) and (is_late or deployment.breaker.is_open)
        if not self.group.hedge_budget.withdraw() and not (is_failing and self.group.retry_budget.withdraw()):
            return None
        chosen = self.group.balancer.choose(others or candidates)
        self._tried.append(chosen)
        if self.watch is not None:
            self.watch.hedged(self.group.name, chosen.name)
        return chosen


async def _first_reply(
    calls: dict[asyncio.Task[ProviderReply], Deployment],
) -> tuple[Deployment, ProviderReply]:
    pending: set[asyncio.Task[ProviderReply]] = set(calls)
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return calls[task], task.result()
        if not pending:
            last = done.pop()
            return calls[last], last.result()


def _too_slow(timeout_s: float) -> AdapterError:
    return AdapterError(AdapterErrorKind.UNAVAILABLE, f"no reply within {timeout_s:.3g} s")


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
