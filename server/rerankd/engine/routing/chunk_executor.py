"""Executes one call of a model, such as a chunk: chooses a deployment, calls it, retries and hedges.

After a failure, the next attempt goes to a deployment that has not been tried; if there is none and the failure is
retryable, to the same one after a backoff. Attempts are limited by the caller's deadline, `RetrySettings.max_attempts`
and the retry and hedge budgets. An attempt far slower than usual is given up if there is something else to try.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Final, Generic

from msgspec import Struct, field

from rerankd.contract.errors import ServiceError, deadline_exceeded
from rerankd.engine.routing.adaptive_timeout import limit_s
from rerankd.engine.routing.call_retries import CallRetries
from rerankd.engine.routing.concurrency_limiter import QueueFullError
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.deployment_choice import DeploymentChoice
from rerankd.engine.routing.failures import combine_errors, overloaded, service_error
from rerankd.engine.routing.hedging import send_hedged
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.time_limits import TimeLimit
from rerankd.telemetry.calls.watches import ChunkWatch
from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.call import R, R_co, RoutedCall

_REQUEST_FAULTS: Final = frozenset({AdapterErrorKind.REJECTED, AdapterErrorKind.UNSUPPORTED})
"""Failures caused by the request: no other deployment is tried."""
_ATTEMPT_SHARE: Final = 0.5
"""Share of the remaining time used as timeout of an attempt while another deployment or model is left to try."""
_ANSWERED_SINCE: Final = 10
"""Replies of the same deployment to other calls after which one that has none is taken for lost, and sent again."""
_HUNG_AFTER_LIMITS: Final = 2
"""Limits after which a deployment that has answered nobody meanwhile is given up with nothing else to try."""
_MAX_PROBE_WAIT_S: Final = 1.0
"""Longest wait for the probe of a circuit breaker if no other deployment is available."""
_MAX_COOLDOWN_WAIT_S: Final = 0.5
"""Longest wait for the cooldown of a deployment that is unavailable; calls that begin in it are refused at once too."""


class ChunkResult(Struct, Generic[R_co]):
    """The reply to a chunk, with its attempts."""

    deployment: Deployment
    reply: R_co
    attempts: int
    """Provider calls made, including hedges."""
    is_hedged: bool
    latency_ms: float
    """Time from the first attempt to the reply."""
    index: int = 0
    """Zero-based number of the chunk among all of its call."""


class ChunkExecutor(Struct, Generic[R]):
    """The attempts of one chunk. Used once.

    Args:
        group: Its deployments are called.
        call: The chunk, or the chat call.
        tokens: Estimated tokens of the chunk, for rate limits.
        indices: Index in the request of each document, for errors that name a document.
        has_fallback: Whether another model is tried if this one fails.
        has_siblings: Whether other chunks of the same request are in flight.
        retries: Retries and hedges left to the call; the chunk adds its own.
        watch: Records attempts, retries and hedges; `None` if the call is not recorded.
        index: Zero-based number of the chunk among all of its call.
        sleep: Waits so many seconds.
        jitter: Returns a random number, 0 to 1.
        clock: Monotonic clock, in seconds, of the call's deadline.
    """

    group: ModelGroup
    call: RoutedCall[R]
    tokens: int = 0
    indices: Sequence[int] = ()
    has_fallback: bool = False
    has_siblings: bool = False
    retries: CallRetries = field(default_factory=CallRetries)
    watch: ChunkWatch | None = None
    index: int = 0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    _choice: DeploymentChoice = None  # type: ignore[assignment]  # set at once
    _failures: list[tuple[Deployment, AdapterError | QueueFullError]] = field(default_factory=list)
    _size: int = 0
    """Of the call, by its `size`; 0 unless its attempts are limited by the latency learnt."""
    _attempts: int = 0
    _is_hedged: bool = False
    _is_granted: bool = False
    """Whether the chunk has added to `retries`."""
    _is_prepaid: bool = False
    """Whether the retry budget has paid for the next attempt."""

    def __post_init__(self) -> None:
        self._choice = DeploymentChoice(self.group, self.call.priority, self.tokens)

    async def run(self) -> ChunkResult[R]:
        """Return the first reply.

        Raises:
            ServiceError: Every attempt failed, or no deployment is available.
        """
        began_s = self.clock()
        group = self.group
        group.retry_budget.deposit()
        while True:
            deployment = self._choice.choose() or await self._choose_later()
            try:
                answered, reply = await self._attempt(deployment)
            except (AdapterError, QueueFullError):
                await self._prepare_next()
                continue
            latency_ms = round((self.clock() - began_s) * 1000, 3)
            return ChunkResult(answered, reply, self._attempts, self._is_hedged, latency_ms, self.index)

    def _grant(self) -> None:
        """Add what the chunk may retry and hedge to the budget of the call; most chunks never need it."""
        if self._is_granted:
            return
        self._is_granted = True
        group, options = self.group, self.group.options
        retries = max(options.retries.max_attempts - 1, 0)
        move = int(retries > 0 and len(group.deployments) > 1)
        self.retries.grant(group.name, first=retries + options.hedge.enabled, later=move)

    async def _choose_later(self) -> Deployment:
        """Wait for a deployment to become available and return it."""
        self._grant()
        await self._wait_for_recovery()
        chosen = self._choice.choose()
        if chosen is None:
            raise self._all_failed() if self._failures else self._choice.none_available()
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

    async def _prepare_next(self) -> None:
        """Wait until the next attempt is due; raise if there are no attempts left."""
        group = self.group
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError) and failure.kind in _REQUEST_FAULTS:
                raise service_error(failure, deployment, self.indices) from failure
        delay_s = 0.0 if self._choice.others() else self._delay_s(*self._failures[-1])
        is_spent = self._is_spent(len(self._failures))
        if delay_s is None or is_spent or not self._has_time(delay_s) or not self._pay_for_next():
            raise self._all_failed() from None
        if self.watch is not None:
            self.watch.retried(group.name, delay_s, self._failures[-1][1])
        if delay_s > 0:
            await self.sleep(delay_s)

    def _delay_s(self, deployment: Deployment, failure: AdapterError | QueueFullError) -> float | None:
        """Return the backoff in seconds before the same deployments are tried again; `None` if the failure is final."""
        if not isinstance(failure, AdapterError) or not failure.kind.is_retryable:
            return None
        if deployment in self._choice.given_up and (self.has_fallback or not self._is_prepaid):
            return None
        retries = self.group.options.retries
        max_backoff_s = min(retries.initial_delay_ms / 1000 * 2.0 ** (len(self._failures) - 1), retries.max_delay_s)
        cooldown_s = min(each.breaker.remaining_s for each in self.group.deployments)
        required_s = max(failure.retry_after_s or 0.0, cooldown_s)
        is_down = failure.kind is AdapterErrorKind.UNAVAILABLE and failure.retry_after_s is None
        if required_s > (min(retries.max_delay_s, _MAX_COOLDOWN_WAIT_S) if is_down else retries.max_delay_s):
            return None
        return required_s + self.jitter() * max_backoff_s

    def _has_time(self, delay_s: float) -> bool:
        return self.call.deadline_s is None or self.clock() + delay_s < self.call.deadline_s

    def _all_failed(self) -> ServiceError:
        errors = []
        for deployment, failure in self._failures:
            if isinstance(failure, AdapterError):
                errors.append(service_error(failure, deployment, self.indices))
            else:
                errors.append(overloaded(self.group))
        return combine_errors(errors, self.group.name)

    def _bounds(self, deployment: Deployment) -> tuple[float | None, TimeLimit | None]:
        """Return the timeout of the next attempt in seconds, `None` for the deadline of the call; and its limit."""
        options = self.group.options
        left_s = None if self.call.deadline_s is None else self.call.deadline_s - self.clock()
        if left_s is not None and left_s <= 0:
            raise deadline_exceeded()
        configured_s = options.attempt_timeout_s
        if configured_s is not None:
            return (configured_s if left_s is None or configured_s < left_s else None), None
        if self.group.is_embedded and not self.has_fallback:
            return None, None
        self._size = self._size or self.call.size()
        limited_s = limit_s(deployment, self._size, options.adaptive_timeout)
        if left_s is None or limited_s < left_s * _ATTEMPT_SHARE:
            may_end = partial(self._may_give_up, deployment, deployment.answered, self.clock(), limited_s)
            return None, self.group.time_limits.of(limited_s, may_end)
        return (left_s * _ATTEMPT_SHARE if self._choice.others() or self.has_fallback else None), None

    def _may_give_up(self, deployment: Deployment, answered: int, began_s: float, limited_s: float) -> bool:
        """Whether to end an attempt that takes too long; pays for the one that replaces it, if there can be one.

        Args:
            deployment: The attempt's.
            answered: Its replies when the attempt began.
            began_s: When the attempt began.
            limited_s: Its limit.
        """
        if self._is_prepaid:
            return True
        self._grant()
        is_lost = deployment.answered - answered >= _ANSWERED_SINCE
        is_spent = self._is_spent(len(self._failures) + 1)
        if not is_spent and (is_lost or self._choice.has_other_than(deployment)):
            self._is_prepaid = self._withdraw()
        return self._is_prepaid or self.has_fallback or self._is_hung(deployment, answered, began_s, limited_s)

    def _is_hung(self, deployment: Deployment, answered: int, began_s: float, limited_s: float) -> bool:
        """Whether a deployment whose latency is known has answered nobody for so long that waiting on is of no use."""
        least_s = max(self.group.options.adaptive_timeout.initial_s, _HUNG_AFTER_LIMITS * limited_s)
        is_quiet = deployment.latency_by_size.is_settled and deployment.answered == answered
        return is_quiet and self.clock() - began_s >= least_s

    def _pay_for_next(self) -> bool:
        """Pay for the attempt after a failed one; a move to steady deployments costs the budget of the model nothing.

        That budget keeps retries from multiplying an outage, and one failing deployment among steady ones is none.
        """
        others = self._choice.others()
        if self._is_prepaid or not others or not all(each.is_steady for each in others):
            return self._withdraw()
        return self.retries.take()

    def _withdraw(self) -> bool:
        """Pay for another attempt; `False` if the budget of the call or of the model is spent."""
        if self._is_prepaid:
            self._is_prepaid = False
            return True
        return self.retries.left > 0 and self.group.retry_budget.withdraw() and self.retries.take()

    def _is_spent(self, failures: int) -> bool:
        return failures >= max(self.group.options.retries.max_attempts, 1)

    def _attempt(self, deployment: Deployment) -> Awaitable[tuple[Deployment, R]]:
        """Return an attempt to await, which gives the deployment that has answered and its reply."""
        timeout_s, limit = self._bounds(deployment)
        self._attempts += 1
        hedge_after_s = self._hedge_after_s(deployment) if self.group.options.hedge.enabled else None
        ends_s = timeout_s if limit is None else limit.seconds
        if hedge_after_s is None or (ends_s is not None and ends_s <= hedge_after_s):
            return self._call(deployment, timeout_s, limit)
        return send_hedged(self._send, deployment, hedge_after_s, partial(self._choose_hedge, deployment))

    async def _send(self, deployment: Deployment) -> R:
        """Make a provider call that may have a second copy."""
        _, reply = await self._call(deployment, *self._bounds(deployment))
        return reply

    async def _call(
        self, deployment: Deployment, timeout_s: float | None, limit: TimeLimit | None
    ) -> tuple[Deployment, R]:
        """Make one provider call; record its failure."""
        try:
            if self.watch is None:
                return deployment, await self._made(deployment, timeout_s, limit)
            with self.watch.attempt(deployment.telemetry_labels, self._attempts, self.call.document_count) as attempt:
                attempt.reply = reply = await self._made(deployment, timeout_s, limit)
                return deployment, reply
        except (AdapterError, QueueFullError) as failure:
            self._failures.append((deployment, failure))
            self._grant()
            raise

    def _made(
        self, deployment: Deployment, timeout_s: float | None, limit: TimeLimit | None
    ) -> Coroutine[object, None, R]:
        if limit is not None:
            return self._limited(deployment, limit)
        if timeout_s is not None:
            return self._timed(deployment, timeout_s)
        return deployment.call(self.call, self.tokens, None, size=self._size)

    async def _limited(self, deployment: Deployment, limit: TimeLimit) -> R:
        began_s = self.clock()
        try:
            with limit:
                return await deployment.call(self.call, self.tokens, None, limit, size=self._size)
        except TimeoutError:
            self._choice.given_up.append(deployment)
            usual_s = deployment.latency_by_size.high_s(self._size)
            raise _too_slow(self.clock() - began_s, usual_s) from None

    async def _timed(self, deployment: Deployment, timeout_s: float) -> R:
        try:
            async with asyncio.timeout(timeout_s):
                return await deployment.call(self.call, self.tokens, timeout_s, size=self._size)
        except TimeoutError:
            raise _too_slow(timeout_s) from None
        except AdapterError as error:
            if error.kind is AdapterErrorKind.TIMEOUT:
                raise _too_slow(timeout_s) from None
            raise

    def _hedge_after_s(self, deployment: Deployment) -> float | None:
        self.group.hedge_budget.deposit()
        p95_s = deployment.latency.p95_s
        return None if p95_s is None else max(p95_s, self.group.options.hedge.min_delay_ms / 1000)

    def _choose_hedge(self, deployment: Deployment, is_late: bool) -> Deployment | None:
        self._grant()
        chosen = self._choice.choose_hedge(deployment, is_late=is_late) if self.retries.left else None
        if chosen is None:
            return None
        self.retries.take()
        self._attempts += 1
        self._is_hedged = True
        if self.watch is not None:
            self.watch.hedged(self.group.name, chosen.name)
        return chosen


def _too_slow(waited_s: float, usual_s: float | None = None) -> AdapterError:
    usual = "" if usual_s is None else f"; calls of this size usually take at most {usual_s:.2g} s"
    return AdapterError(AdapterErrorKind.UNAVAILABLE, f"no reply within {waited_s:.3g} s{usual}")
