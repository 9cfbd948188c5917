"""The blocking client: the same calls as `aio`, on gRPC's own threads."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
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
from rerankd_client.errors import RerankError, error_of_call
from rerankd_client.health import HealthStatus
from rerankd_client.key_methods import Keys
from rerankd_client.models import Model
from rerankd_client.requests import BatchDefaults, BatchItem, DocumentInput, RerankOptions, encode_batch_item
from rerankd_client.responses import RerankResponse
from rerankd_client.warming import WarmedDocuments, WarmOptions

T = TypeVar("T")


class RerankClient:
    """Calls a rerank service and waits for the answers.

    Connects on the first call and again whenever the connection is lost. One client serves any number of
    threads; make one and keep it, one a process (gRPC does not survive `os.fork`). Close it with `with` or
    `close`.

    Methods, arguments and errors are those of `AsyncRerankClient`, which documents them.

    Args:
        address: `host[:port]`, `unix:/path` or a gRPC target. Default: `RERANKD_ADDRESS`, else
            127.0.0.1:50051.
        **options: `ClientOptions`.

    Raises:
        TypeError, ValueError, OSError: An argument is not usable; see `resolve_connection`.
    """

    def __init__(self, address: str | None = None, **options: Unpack[ClientOptions]) -> None:
        self._connection = resolve_connection(address, options)
        self._is_closed = False
        self._channel = _open_channel(self._connection, self._connection.channel_options)
        self._unary = {method: _bind(self._channel, method) for method in UNARY_METHODS}

    @property
    def keys(self) -> Keys:
        """The server's API keys; needs the scope `admin`."""
        return Keys(self._invoke)

    def rerank(
        self,
        query: str,
        documents: Iterable[DocumentInput],
        *,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[RerankOptions],
    ) -> RerankResponse:
        """Score every document against the query and return the best ones, best first."""
        return self._invoke(rerank_call(query, documents, options), timeout_s, metadata)

    def list_models(
        self,
        provider: str | None = None,
        *,
        page_size: int | None = None,
        timeout_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Iterator[Model]:
        """Iterate over the models a caller may name, by name; `timeout_s` is for each page."""
        token = ""
        while True:
            page = self._invoke(list_models_call(provider, page_size, token), timeout_s, metadata)
            yield from page.models
            token = page.next_page_token
            if not token:
                return

    def get_model(
        self, name: str, *, timeout_s: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> Model:
        """Return one model by its name or an alias."""
        return self._invoke(get_model_call(name), timeout_s, metadata)

    def warm_documents(
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
        return self._invoke(warm_documents_call(documents, options), timeout_s, metadata)

    def health(
        self, service: str = "", *, timeout_s: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> HealthStatus:
        """Ask the standard health service about one service, or the server as a whole.

        Over a connection of its own, because calls go to no server that is not serving.
        """
        call = health_call(service)
        with _open_channel(self._connection, self._connection.unbalanced_options) as channel:
            return self._perform(_bind(channel, call.method), call, timeout_s, metadata)

    def batch_rerank(
        self,
        items: Iterable[BatchItem],
        *,
        defaults: BatchDefaults | None = None,
        ordered: bool = False,
        max_concurrency: int | None = None,
        on_progress: Callable[[BatchProgress], None] | None = None,
        max_resumes: int = DEFAULT_MAX_RESUMES,
        timeout_s: float = math.inf,
        metadata: Mapping[str, str] | None = None,
    ) -> Batch:
        """Rerank a stream of items; iterate over what this returns.

        `items` is read in another thread, so that results come while the next item is awaited; what is bound
        to one thread, such as an SQLite cursor, must be read into a queue first.
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

        def open_call(messages: Iterator[pb.BatchRerankRequest]) -> Any:
            return self._channel.stream_stream(
                BATCH_RERANK_PATH,
                request_serializer=serialize_batch,
                response_deserializer=pb.BatchRerankResponse.FromString,
            )(
                messages,
                timeout=self._connection.call_timeout_s(max(0.0, deadline_s - time.monotonic())),
                metadata=self._connection.call_metadata(metadata),
            )

        return Batch(run, _stream(run, open_call, items))

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._is_closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _invoke(self, call: Call[T], timeout_s: float | None, metadata: Mapping[str, str] | None) -> T:
        method = self._unary.get(call.method)
        if method is None:
            method = self._unary[call.method] = _bind(self._channel, call.method)
        return self._perform(method, call, timeout_s, metadata)

    def _perform(
        self, method: Callable[..., Any], call: Call[T], timeout_s: float | None, metadata: Mapping[str, str] | None
    ) -> T:
        try:
            response = method(
                call.request,
                timeout=self._connection.call_timeout_s(timeout_s),
                metadata=self._connection.call_metadata(metadata),
            )
        except grpc.RpcError as error:
            raise error_of_call(error) from error
        return call.decode(response)


def _open_channel(connection: Connection, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
    if connection.credentials is None:
        return grpc.insecure_channel(connection.target, options)
    return grpc.secure_channel(connection.target, connection.credentials, options)


def _bind(channel: grpc.Channel, method: Method) -> Callable[..., Any]:
    return channel.unary_unary(
        method.path, request_serializer=serialize, response_deserializer=method.response_type.FromString
    )


class Batch(Iterator[BatchResult]):
    """Results of a batch as they come; iterate once, in one thread.

    Leaving it early cancels the rest: at once with `with` or `close`, else when it is collected. If the
    source of items raises, the items before that are answered first, then iteration raises the same.
    """

    def __init__(self, run: BatchRun, results: Generator[BatchResult, None, None]) -> None:
        self._run = run
        self._results = results

    @property
    def summary(self) -> BatchSummary | None:
        """Totals; None until iteration has ended."""
        return self._run.summary

    def close(self) -> None:
        """Cancel what is still under way."""
        self._results.close()

    def __next__(self) -> BatchResult:
        return next(self._results)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Feed:
    """Sends the messages of a batch, one stream after the other, each from a thread of gRPC's.

    The thread of a broken stream may wait for the source when the next stream begins. It leaves what the
    source gives to the thread of the next stream.
    """

    def __init__(self, run: BatchRun, items: Iterable[BatchItem]) -> None:
        self._run = run
        self._source = iter(items)
        self._reading = threading.Lock()
        self._changed = threading.Condition()

    def begin_stream(self) -> Generator[pb.BatchRerankRequest, None, None]:
        """Begin a stream; return its messages."""
        with self._changed:
            stream = self._run.begin_stream()
            self._changed.notify_all()
        return self._messages(stream)

    def receive(self, message: pb.BatchRerankResponse) -> BatchResult | None:
        """Take a message from the server; see `BatchRun.receive`."""
        result = self._run.receive(message)
        with self._changed:
            self._changed.notify_all()
        return result

    def resume_delay_s(self, error: RerankError) -> float | None:
        """See `BatchRun.resume_delay_s`."""
        with self._changed:
            return self._run.resume_delay_s(error)

    def close(self) -> None:
        """End the threads that wait to send."""
        self.begin_stream().close()

    def _messages(self, stream: int) -> Generator[pb.BatchRerankRequest, None, None]:
        yield self._run.opening
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ready(stream))
                if self._run.stream != stream or (self._run.is_source_over and not self._run.has_message):
                    return
                message = self._run.take() if self._run.has_message else None
            if message is None:
                self._read(stream)
            else:
                yield message

    def _is_ready(self, stream: int) -> bool:
        run = self._run
        return run.stream != stream or run.has_message or run.has_room or run.is_source_over

    def _read(self, stream: int) -> None:
        """Read one item, unless another thread has read one while this one waited to."""
        run = self._run
        with self._reading:
            with self._changed:
                if run.stream != stream or run.has_message or run.is_source_over:
                    return
            message = None
            try:
                message = encode_batch_item(next(self._source))
            except StopIteration:
                pass
            except Exception as error:  # the caller's iterable; raised where the answers are read
                run.source_error = error
            with self._changed:
                if message is None:
                    run.is_source_over = True
                else:
                    run.add(message)
                self._changed.notify_all()


# A function and not a method, so that dropping the batch drops the generator, which ends the call.
def _stream(
    run: BatchRun,
    open_call: Callable[[Iterator[pb.BatchRerankRequest]], Any],
    items: Iterable[BatchItem],
) -> Generator[BatchResult, None, None]:
    feed = _Feed(run, items)
    try:
        while True:
            call = open_call(feed.begin_stream())
            try:
                for message in call:
                    result = feed.receive(message)
                    if result is not None:
                        yield result
                break
            except grpc.RpcError as error:
                failure = error_of_call(error)
                delay_s = feed.resume_delay_s(failure)
                if delay_s is None:
                    raise failure from error
            finally:
                call.cancel()
            time.sleep(delay_s)
    finally:
        feed.close()
    run.finish()
