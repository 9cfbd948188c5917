"""One chunk's way to an answer: choose a deployment, call it, try again, send a second copy, give up.

A failure that another deployment may not share moves on to the next one; one that the same deployment may get over is
tried there again after a pause. All of it is bounded by the caller's deadline, by `RetryOptions.max_attempts` and by
budgets that are shares of traffic.
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

_OF_THE_REQUEST: Final = frozenset({AdapterErrorKind.REJECTED, AdapterErrorKind.UNSUPPORTED})
"""Failures that every deployment would answer with."""
_LEFT_FOR_OTHERS: Final = 0.5
"""Share of the time left that one attempt may use while there is something else to try."""
_PROBE_PATIENCE_S: Final = 1.0
"""Longest wait of a call that could go nowhere else for the call that probes a deployment."""


@dataclass(slots=True)
class ChunkResult:
    """What a deployment replied, and what it took."""

    deployment: Deployment
    reply: ProviderReply
    attempts: int
    """Provider calls made, hedges included."""
    is_hedged: bool
    latency_ms: float
    """From the first attempt to the answer."""


@dataclass(slots=True)
class ChunkExecutor:
    """The attempts at one chunk.

    Args:
        group: Who may answer.
        call: The chunk.
        tokens: Estimate of what it reads.
        positions: Place in the request of each of its documents, for errors that name one.
        has_fallback: Whether another model is tried when this one fails.
        is_part: Whether other chunks of the same request are under way.
        watch: Notes what happens.
    """

    group: ModelGroup
    call: ProviderCall
    tokens: int = 0
    positions: Sequence[int] = ()
    has_fallback: bool = False
    is_part: bool = False
    watch: ChunkWatch | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    _tried: list[Deployment] = field(default_factory=list)
    _failures: list[tuple[Deployment, AdapterError | QueueFullError]] = field(default_factory=list)
    _made: int = 0
    _is_hedged: bool = False

    async def run(self) -> ChunkResult:
        """Return the first answer.

        Raises:
            ServiceError: What the caller should know when there is none.
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
            return ChunkResult(answered, reply, self._made, self._is_hedged, latency_ms)

    async def _choose_later(self) -> Deployment:
        """Return the deployment to call once there is one again."""
        await self._wait_for_recovery()
        chosen = self._choose()
        if chosen is None:
            raise self._nothing_to_call()
        return chosen

    def _choose(self) -> Deployment | None:
        """Return the deployment to call: one not tried yet while there is one; `None` when none can be called now."""
        callable_ = self._callable()
        if not callable_:
            return None
        untried = [each for each in callable_ if each not in self._tried] if self._tried else callable_
        chosen = self.group.balancer.choose(untried or callable_)
        self._tried.append(chosen)
        return chosen

    async def _wait_for_recovery(self) -> None:
        """Wait for a deployment that is about to be callable again.

        To refuse all calls but the probe would fail many that a deployment just back could answer. A probe that is
        slow is waited for by those alone that have something to lose: it may be a chunk of the same request.
        """
        deployments, retries = self.group.deployments, self.group.options.retries
        wait_s = min(each.breaker.remaining_s for each in deployments)
        if self.is_part and not self._failures and 0 < wait_s <= retries.max_delay_s and self._has_time(wait_s):
            await self.sleep(wait_s + self.jitter() * retries.initial_delay_ms / 1000)
        is_patient = self.is_part or self._failures
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if is_patient else _PROBE_PATIENCE_S):
                for each in deployments:
                    await each.breaker.wait_for_probe()

    def _callable(self) -> list[Deployment]:
        return [each for each in self.group.deployments if self._may_call(each)]

    def _may_call(self, deployment: Deployment) -> bool:
        return (
            not deployment.breaker.is_open
            and not deployment.limiter.refuses(self.call.priority)
            and deployment.rate_wait_s(self.tokens) <= 0
        )

    def _nothing_to_call(self) -> ServiceError:
        if self._failures:
            return self._all_failed()
        deployments = self.group.deployments
        healthy = [each for each in deployments if not each.breaker.is_open]
        if not healthy:
            return no_healthy_deployment(self.group)
        unused = [each for each in healthy if not each.limiter.refuses(self.call.priority)]
        if not unused:
            return overloaded(self.group)
        return rate_limited(self.group, min(each.rate_wait_s(self.tokens) for each in unused))

    async def _prepare_next(self) -> None:
        """Return when the next attempt is due; raise when there is none to make."""
        group, retries = self.group, self.group.options.retries
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError) and failure.kind in _OF_THE_REQUEST:
                raise service_error(failure, deployment, self.positions) from failure
        others = [each for each in group.deployments if each not in self._tried and self._may_call(each)]
        is_spent = len(self._failures) >= max(retries.max_attempts, 1)
        delay_s = 0.0 if others else self._delay_s(self._failures[-1][1])
        if delay_s is None or is_spent or not self._has_time(delay_s) or not group.retry_budget.withdraw():
            raise self._all_failed() from None
        if self.watch is not None:
            self.watch.retried(group.name, delay_s, self._failures[-1][1])
        if delay_s > 0:
            await self.sleep(delay_s)

    def _delay_s(self, failure: AdapterError | QueueFullError) -> float | None:
        """Return how long to wait before the same deployments are tried again; `None` when that is no use."""
        if not isinstance(failure, AdapterError) or not failure.kind.is_retryable:
            return None
        retries = self.group.options.retries
        longest_s = min(retries.initial_delay_ms / 1000 * 2.0 ** (len(self._failures) - 1), retries.max_delay_s)
        asked_s = max(failure.retry_after_s or 0.0, min(each.breaker.remaining_s for each in self.group.deployments))
        if asked_s > retries.max_delay_s:
            return None
        return asked_s + self.jitter() * longest_s

    def _has_time(self, delay_s: float) -> bool:
        return self.call.deadline_s is None or time.monotonic() + delay_s < self.call.deadline_s

    def _all_failed(self) -> ServiceError:
        errors = []
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError):
                errors.append(service_error(failure, deployment, self.positions))
            else:
                errors.append(overloaded(self.group))
        return combined(errors, self.group.name)

    def _timeout_s(self) -> float | None:
        """Return the longest time the next attempt may take; `None` for all the time there is."""
        given_s = self.group.options.attempt_timeout_s
        if self.call.deadline_s is None:
            return given_s
        left_s = self.call.deadline_s - time.monotonic()
        if left_s <= 0:
            raise deadline_exceeded()
        if given_s is not None:
            return given_s if given_s < left_s else None
        others = any(each not in self._tried and self._may_call(each) for each in self.group.deployments)
        return left_s * _LEFT_FOR_OTHERS if others or self.has_fallback else None

    async def _attempt(self, deployment: Deployment) -> tuple[Deployment, ProviderReply]:
        timeout_s = self._timeout_s()
        self._made += 1
        hedge_after_s = self._hedge_after_s(deployment)
        if hedge_after_s is None or (timeout_s is not None and timeout_s <= hedge_after_s):
            return deployment, await self._call(deployment, timeout_s)
        return await self._hedged(deployment, hedge_after_s, timeout_s)

    async def _call(self, deployment: Deployment, timeout_s: float | None) -> ProviderReply:
        """Make one provider call, and note its failure."""
        try:
            if self.watch is None:
                return await self._timed(deployment, timeout_s)
            with self.watch.attempt(deployment.telemetry_labels, self._made, len(self.call.documents)) as attempt:
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
        usual_s = deployment.latency.p95_s
        return None if usual_s is None else max(usual_s, hedge.min_delay_ms / 1000)

    async def _hedged(
        self, deployment: Deployment, delay_s: float, timeout_s: float | None
    ) -> tuple[Deployment, ProviderReply]:
        """Call `deployment`, and another one beside it once that takes too long; return the first answer."""
        first = asyncio.create_task(self._call(deployment, timeout_s))
        calls = {first: deployment}
        try:
            second, is_late = None, False
            while second is None:
                await asyncio.wait(calls, timeout=delay_s)
                if first.done():
                    return deployment, first.result()
                second = self._second(deployment, is_late=is_late)
                is_late = True
            self._made += 1
            self._is_hedged = True
            calls[asyncio.create_task(self._call(second, timeout_s))] = second
            return await _first_answer(calls)
        finally:
            for task in calls:
                task.cancel()
            if len(calls) > 1 or not first.done():
                await asyncio.gather(*calls, return_exceptions=True)
            elif not first.cancelled():
                first.exception()

    def _second(self, deployment: Deployment, *, is_late: bool) -> Deployment | None:
        """Return who gets a second copy; `None` while nobody can, or there is no budget for it.

        Args:
            deployment: Who has the call.
            is_late: Whether it took twice as long as nearly all others; the copy may then count as a retry.
        """
        candidates = [each for each in self.group.deployments if self._may_call(each)]
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


async def _first_answer(
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
    return AdapterError(AdapterErrorKind.UNAVAILABLE, f"no answer within {timeout_s:.3g} s")


def combined(errors: Sequence[ServiceError], model: str) -> ServiceError:
    """Build one error of what every attempt said (n >= 1); the last one decides the reason."""
    last = errors[-1]
    said = list(dict.fromkeys(str(error) for error in errors))
    if len(errors) == 1:
        return last
    metadata = dict(last.metadata) | {"attempts": str(len(errors))}
    message = last.message if len(said) == 1 else f"every deployment of {model} failed: {'; '.join(said)}"
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return ServiceError(
        last.reason,
        message,
        metadata=metadata,
        violations=last.violations,
        retry_after_s=min(waits, default=None),
    )
