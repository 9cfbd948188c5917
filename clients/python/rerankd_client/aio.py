"""The asynchronous client."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.batch import BatchProgress, BatchResult, BatchSummary
from rerankd_client.batch_run import DEFAULT_MAX_RESUMES, BatchRun
from rerankd_client.calls import (
    BATCH_RERANK_PATH,
    UNARY_METHODS,
    Call,
    Method,
    get_model_call,
    health_call,
    list_models_call,
    rerank_call,
    serialize,
    serialize_batch,
    warm_documents_call,
)
from rerankd_client.connection import ClientOptions, Connection, resolve_connection
from rerankd_client.errors import error_of_call
from rerankd_client.health import HealthStatus
from rerankd_client.key_methods import AsyncKeys
from rerankd_client.models import Model
from rerankd_client.requests import BatchDefaults, BatchItem, DocumentInput, RerankOptions, encode_batch_item
from rerankd_client.responses import RerankResponse
from rerankd_client.warming import WarmedDocuments, WarmOptions

T = TypeVar("T")
BatchCall = grpc.aio.StreamStreamCall[pb.BatchRerankRequest, pb.BatchRerankResponse]


class AsyncRerankClient:
    """Calls a rerank service without blocking the event loop.

    Connects on the first call and again whenever the connection is lost. One client serves any number of
    tasks of one event loop; make one and keep it. Close it with `async with` or `close`.

    Every method takes `timeout_s` (seconds; None: the client's, `math.inf`: none) and `metadata` (sent with
    the call, `x-request-id` to name it), raises `RerankError` when the call fails, and cancels the call when
    its task is cancelled.

    Args:
        address: `host[:port]`, `unix:/path` or a gRPC target. Default: `RERANKD_ADDRESS`, else
            127.0.0.1:50051.
        **options: `ClientOptions`.

    Raises:
        TypeError, ValueError, OSError: An argument is not usable; see `resolve_connection`.
    """

    def __init__(self, address: str | None = None, **options: Unpack[ClientOptions]) -> None:
        self._connection = resolve_connection(address, options)
        self._channel: grpc.aio.Channel | None = None
        self._is_closed = False
        self._unary: dict[Method, Callable[..., Any]] = {}

    @property
    def keys(self) -> AsyncKeys:
        """The server's API keys; needs the scope `admin`."""
        return AsyncKeys(self._invoke)

    async def rerank(
        self,
        query: str,
        documents: Iterable[DocumentInput],
        *,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[RerankOptions],
    ) -> RerankResponse:
        """Score every document against the query and return the best ones, best first.

        Args:
            query: What the documents are compared with; not blank.
            documents: n texts, `Document`s or mappings, n >= 1; a result's `index` counts from 0.
            timeout_s: Deadline of the call.
            metadata: Sent with the call.
            **options: `RerankOptions`.
        """
        return await self._invoke(rerank_call(query, documents, options), timeout_s, metadata)

    async def list_models(
        self,
        provider: str | None = None,
        *,
        page_size: int | None = None,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Model]:
        """Iterate over the models a caller may name, by name; `timeout_s` is for each page."""
        token = ""
        while True:
            page = await self._invoke(list_models_call(provider, page_size, token), timeout_s, metadata)
            for model in page.models:
                yield model
            token = page.next_page_token
            if not token:
                return

    async def get_model(
        self, name: str, *, timeout_s: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> Model:
        """Return one model by its name or an alias."""
        return await self._invoke(get_model_call(name), timeout_s, metadata)

    async def warm_documents(
        self,
        documents: Iterable[DocumentInput],
        *,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[WarmOptions],
    ) -> WarmedDocuments:
        """Compute the vectors of documents ahead, so that later calls with them cost little more than the query.

        Args:
            documents: n texts, `Document`s or mappings, n >= 1, as later calls will have them.
            timeout_s: Deadline of the call; vectors computed before it are kept.
            metadata: Sent with the call.
            **options: `WarmOptions`.
        """
        return await self._invoke(warm_documents_call(documents, options), timeout_s, metadata)

    async def health(
        self, service: str = "", *, timeout_s: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> HealthStatus:
        """Ask the standard health service about one service, or the server as a whole.

        Over a connection of its own, because calls go to no server that is not serving.

        Raises:
            NotFound: The server does not know the service.
        """
        call = health_call(service)
        async with _open_channel(self._connection, self._connection.unbalanced_options) as channel:
            return await self._perform(_bind(channel, call.method), call, timeout_s, metadata)

    def batch_rerank(
        self,
        items: Iterable[BatchItem] | AsyncIterable[BatchItem],
        *,
        defaults: BatchDefaults | None = None,
        ordered: bool = False,
        max_concurrency: int | None = None,
        on_progress: Callable[[BatchProgress], None] | None = None,
        max_resumes: int = DEFAULT_MAX_RESUMES,
        timeout_s: float = math.inf,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncBatch:
        """Rerank a stream of items; iterate over what this returns.

        Args:
            items: Read only as fast as results are taken: at most twice `max_concurrency` (64 when unset)
                items are unanswered at one time. An ordinary iterable is read on the event loop.
            defaults: Values for what items leave unset.
            ordered: Yield in the order of the items instead of as they finish.
            max_concurrency: Items under way at once, at least 1; the server has its own ceiling.
            on_progress: Called during iteration after every 100 items.
            max_resumes: How often an item may be sent again because its stream broke, and how many streams
                may break in a row without an answer (two, before the first one); 0: the first break raises.
            timeout_s: Deadline of the whole batch, resumes included; none by default.
            metadata: Sent with the call.
        """
        run = BatchRun(
            defaults=defaults,
            ordered=ordered,
            max_concurrency=max_concurrency,
            on_progress=on_progress,
            max_resumes=max_resumes,
            is_closed=lambda: self._is_closed,
        )
        deadline_s = time.monotonic() + timeout_s

        def open_call() -> BatchCall:
            return self._opened().stream_stream(
                BATCH_RERANK_PATH,
                request_serializer=serialize_batch,
                response_deserializer=pb.BatchRerankResponse.FromString,
            )(
                timeout=self._connection.call_timeout_s(max(0.0, deadline_s - time.monotonic())),
                metadata=self._connection.call_metadata(metadata),
            )

        return AsyncBatch(run, _stream(run, open_call, items))

    async def close(self, grace_s: float | None = None) -> None:
        """Close the connection; calls under way get `grace_s` seconds to end (None: they are cancelled)."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close(grace_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _opened(self) -> grpc.aio.Channel:
        # On first use and not in __init__, because a channel belongs to the event loop it is made in.
        if self._channel is None:
            self._channel = _open_channel(self._connection, self._connection.channel_options)
            self._unary = {method: _bind(self._channel, method) for method in UNARY_METHODS}
        return self._channel

    async def _invoke(self, call: Call[T], timeout_s: float | None, metadata: Mapping[str, str] | None) -> T:
        channel = self._opened()
        method = self._unary.get(call.method)
        if method is None:
            method = self._unary[call.method] = _bind(channel, call.method)
        return await self._perform(method, call, timeout_s, metadata)

    async def _perform(
        self, method: Callable[..., Any], call: Call[T], timeout_s: float | None, metadata: Mapping[str, str] | None
    ) -> T:
        try:
            response = await method(
                call.request,
                timeout=self._connection.call_timeout_s(timeout_s),
                metadata=self._connection.call_metadata(metadata),
            )
        except grpc.RpcError as error:
            raise error_of_call(error) from error
        return call.decode(response)


def _open_channel(connection: Connection, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
    if connection.credentials is None:
        return grpc.aio.insecure_channel(connection.target, options)
    return grpc.aio.secure_channel(connection.target, connection.credentials, options)


def _bind(channel: grpc.aio.Channel, method: Method) -> Callable[..., Any]:
    return channel.unary_unary(
        method.path, request_serializer=serialize, response_deserializer=method.response_type.FromString
    )


class AsyncBatch(AsyncIterator[BatchResult]):
    """Results of a batch as they come; iterate once, in one task.

    Leaving it early cancels the rest: at once with `async with` or `aclose`, else when it is collected.
    If the source of items raises, the items before that are answered first, then iteration raises the same.
    """

    def __init__(self, run: BatchRun, results: AsyncGenerator[BatchResult, None]) -> None:
        self._run = run
        self._results = results

    @property
    def summary(self) -> BatchSummary | None:
        """Totals; None until iteration has ended."""
        return self._run.summary

    async def aclose(self) -> None:
        """Cancel what is still under way."""
        await self._results.aclose()

    async def __anext__(self) -> BatchResult:
        return await anext(self._results)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


# A function and not a method, so that dropping the batch drops the generator, which ends the call.
async def _stream(
    run: BatchRun, open_call: Callable[[], BatchCall], items: Iterable[BatchItem] | AsyncIterable[BatchItem]
) -> AsyncGenerator[BatchResult, None]:
    changed = asyncio.Event()
    # One reader for all streams: to cancel it would end a source that is an asynchronous generator.
    reader = asyncio.create_task(_read(run, items, changed))
    try:
        while True:
            run.begin_stream()
            call = open_call()
            sender = asyncio.create_task(_send(run, call, changed))
            try:
                while isinstance(message := await call.read(), pb.BatchRerankResponse):
                    result = run.receive(message)
                    changed.set()
                    if result is not None:
                        yield result
                break
            except grpc.RpcError as error:
                failure = error_of_call(error)
                delay_s = run.resume_delay_s(failure)
                if delay_s is None:
                    raise failure from error
            finally:
                call.cancel()
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            await asyncio.sleep(delay_s)
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    run.finish()


async def _read(run: BatchRun, items: Iterable[BatchItem] | AsyncIterable[BatchItem], changed: asyncio.Event) -> None:
    try:
        async with contextlib.aclosing(_iterate(items)) as source:
            while True:
                while not run.has_room:
                    changed.clear()
                    await changed.wait()
                run.add(encode_batch_item(await anext(source)))
                changed.set()
    except StopAsyncIteration:
        pass
    except Exception as error:  # the caller's iterable; raised where the answers are read
        run.source_error = error
    run.is_source_over = True
    changed.set()


async def _send(run: BatchRun, call: BatchCall, changed: asyncio.Event) -> None:
    # The receiving side says why a call has ended.
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
        await call.write(run.opening)
        while True:
            if run.has_message:
                await call.write(run.take())
            elif run.is_source_over:
                break
            else:
                changed.clear()
                await changed.wait()
        await call.done_writing()


async def _iterate(items: Iterable[BatchItem] | AsyncIterable[BatchItem]) -> AsyncGenerator[BatchItem, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
