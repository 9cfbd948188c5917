"""`Reranker`: an in-process engine for threads and for coroutines of any event loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar, Unpack

import structlog

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext, usable_request_id
from rerankd.contract.errors import Reason, ServiceError, deadline_exceeded
from rerankd.contract.field_paths import as_top_level
from rerankd.contract.status import internal_error
from rerankd.providers.factory import ProviderSettingsError
from rerankd.sdk.engine_pool import EnginePool
from rerankd.sdk.engine_thread import EngineThread
from rerankd.sdk.errors import error_of
from rerankd.sdk.logs import quieten_logs
from rerankd.sdk.parameters import CallPlan, DocumentInput, RerankOptions, plan_call
from rerankd.sdk.responses import RerankResponse, response_of
from rerankd.sdk.strategies import with_strategy
from rerankd.sdk.telemetry import EmbeddedTelemetry
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings, SettingsError, load_settings
from rerankd.strategies.common_settings import CommonConfig
from rerankd.telemetry.calls.trace_context import Parent
from rerankd.telemetry.host_tracer import calling_span

T = TypeVar("T")

_log: Final = structlog.get_logger("rerankd.sdk")
_WAIT_S: Final = 0.5
_all: Final[weakref.WeakSet[Reranker]] = weakref.WeakSet()


class Reranker:
    """In-process reranker with the engine and settings of the server.

    The first call opens the engine; models load when first used. Safe for any number of threads, tasks and event
    loops. After `os.fork` the child opens an engine of its own. The engine runs in one background thread, so that
    models and connections are shared by all event loops.

    >>> from rerankd import Reranker
    >>> with Reranker() as reranker:
    ...     response = reranker.rerank("local/bm25", "apple", ["a pear", "an apple"], top_n=1)
    >>> response.results[0].index
    1

    Args:
        settings: All settings, or the file to read them from. Default: the file that `RERANKD_CONFIG` names, if any,
            under the environment's `RERANKD_...` variables.
        strategy: How calls that name no model are scored: one of `rerankd.sdk.strategies`, such as
            `Cascade(stages=[...])`. Its key is the strategy's name, as `cascade`.
    """

    def __init__(
        self, settings: Settings | str | os.PathLike[str] | None = None, *, strategy: CommonConfig | None = None
    ) -> None:
        self._settings = settings
        self._strategy = strategy
        self._lock = threading.Lock()
        self._thread: EngineThread | None = None
        self._opening: asyncio.Task[_Opened] | None = None
        _all.add(self)

    def rerank(
        self,
        model: str = "",
        query: str = "",
        documents: Iterable[DocumentInput] = (),
        **options: Unpack[RerankOptions],
    ) -> RerankResponse:
        """Score every document against the query and return the best ones, best first. Blocks.

        Args:
            model: Alias, `provider/model` or key of a reranker; empty: the strategy, or the default model of the
                settings.
            query: What the documents are compared with; not blank.
            documents: n texts or mappings, n >= 1; a result's `index` counts from 0.
            **options: `RerankOptions`, and parameters under the provider's own names.

        Raises:
            RerankError: The call failed, or the settings are invalid.
            TypeError: A parameter does not exist, or `documents` is no list.
        """
        plan = _plan(model, query, documents, options)
        future = self._submit(plan)
        try:
            return _wait(future)
        except BaseException:
            future.cancel()
            raise

    async def arerank(
        self,
        model: str = "",
        query: str = "",
        documents: Iterable[DocumentInput] = (),
        **options: Unpack[RerankOptions],
    ) -> RerankResponse:
        """Rerank without blocking the event loop; cancelling the task cancels the call."""
        return await asyncio.wrap_future(self._submit(_plan(model, query, documents, options)))

    def close(self) -> None:
        """Close the engine; calls in flight fail. A later call opens a new engine."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._opening = None
        if thread is not None:
            thread.stop()

    async def aclose(self) -> None:
        """Close the engine without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _start_afresh(self) -> None:
        """Discard the engine in a forked child, where its thread does not exist."""
        self._lock = threading.Lock()
        self._thread = self._opening = None

    def _submit(self, plan: CallPlan) -> Future[RerankResponse]:
        with self._lock:
            if self._thread is None:
                self._thread = EngineThread()
            return self._thread.submit(self._answer(plan, self._thread, calling_span()))

    async def _answer(self, plan: CallPlan, thread: EngineThread, parent: Parent | None) -> RerankResponse:
        deadline_s = None if plan.timeout_s is None else time.monotonic() + plan.timeout_s
        call = CallContext(usable_request_id(None), deadline_s, transport="in_process", api_version="2")
        try:
            opened = await self._open(thread)
            opened.telemetry.tracing.begin(parent)
            response = await opened.answer(plan, call)
        except ServiceError as error:
            raise error_of(as_top_level(error, plan.own_names)) from None
        except asyncio.CancelledError:
            if self._thread is thread:
                raise
            # The caller did not cancel: `close` stopped the engine.
            raise error_of(ServiceError(Reason.DRAINING, "the reranker was closed before the answer")) from None
        except Exception as error:  # a fault of ours; the caller gets no text of it
            _log.exception("call failed", request_id=call.request_id)
            raise error_of(internal_error(call.request_id)) from error
        answer = response_of(response, plan.documents)
        answer.meta.warnings.extend(plan.warnings)
        return answer

    async def _open(self, thread: EngineThread) -> _Opened:
        if self._opening is None:
            self._opening = asyncio.create_task(_open(self._settings, self._strategy, thread))
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except ServiceError:
            # Let the next call retry: the environment may have been corrected.
            if self._opening is opening:
                self._opening = None
            raise


class _Opened:
    """An open engine and its pool of override engines, bound to the engine thread's event loop."""

    def __init__(self, host: EngineHost, telemetry: EmbeddedTelemetry) -> None:
        self._host = host
        self.telemetry = telemetry
        self._pool = EnginePool(host)
        self._cache_start = asyncio.create_task(host.start())
        self._models_start: asyncio.Task[None] | None = None

    async def answer(self, plan: CallPlan, call: CallContext) -> messages.RerankResponse:
        if not self._cache_start.done():
            await asyncio.shield(self._cache_start)
        if not self._is_loaded and self._needs_models(plan.request):
            self._models_start = self._models_start or asyncio.create_task(self._start_models())
            await asyncio.shield(self._models_start)
        if plan.override is None:
            return await _within(call, self._host.services.rerank_service.rerank(plan.request, call))
        async with self._pool.use(plan.override) as service:
            return await _within(call, service.rerank(plan.request, call))

    @property
    def _is_loaded(self) -> bool:
        return self._models_start is not None and self._models_start.done()

    def _needs_models(self, request: messages.RerankRequest) -> bool:
        """Whether the request may use embedded models; programs that only call remote providers never load them."""
        deployments = self._host.versions.current.engine.reachable(request)
        return any(each.provider is self._host.local and each.model != "bm25" for each in deployments)

    async def _start_models(self) -> None:
        await self._host.local.start()
        if self._host.settings.local.models:
            await self._host.local.wait_loaded()

    async def close(self) -> None:
        await self._cache_start
        await self._pool.close()
        await self._host.close()

    def flush(self) -> None:
        self.telemetry.close()


def _wait(future: Future[T]) -> T:
    """Wait for a result; a signal that arrives as the wait begins does not end it, so it is made in steps."""
    while True:
        try:
            return future.result(_WAIT_S)
        except TimeoutError:
            if future.done():
                raise


async def _within(call: CallContext, work: Coroutine[object, None, T]) -> T:
    """Await `work` within the call's deadline.

    Raises:
        ServiceError: `DEADLINE_EXCEEDED`.
    """
    try:
        async with asyncio.timeout(call.remaining_s()):
            return await work
    except TimeoutError:
        raise deadline_exceeded() from None


async def _open(
    settings: Settings | str | os.PathLike[str] | None, strategy: CommonConfig | None, thread: EngineThread
) -> _Opened:
    quieten_logs()
    try:
        if not isinstance(settings, Settings):
            settings = load_settings(None if settings is None else Path(settings))
        if strategy is not None:
            settings = with_strategy(settings, strategy)
        telemetry = EmbeddedTelemetry(settings.telemetry, settings.log, os.environ)
        try:
            opened = _Opened(EngineHost(settings, recorder=telemetry.recorder), telemetry)
        except ProviderSettingsError:
            await asyncio.to_thread(telemetry.close)
            raise
    except (SettingsError, ProviderSettingsError) as error:
        raise ServiceError(Reason.INVALID_REQUEST, f"the settings cannot be used: {error}") from None
    thread.own(opened)
    return opened


def _plan(model: str, query: str, documents: Iterable[DocumentInput], options: RerankOptions) -> CallPlan:
    try:
        return plan_call(model, query, documents, options)
    except ServiceError as error:
        raise error_of(error) from None


def _forget_engines() -> None:
    for reranker in list(_all):
        reranker._start_afresh()


os.register_at_fork(after_in_child=_forget_engines)
