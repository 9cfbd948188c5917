"""The blocking client: the same calls as `aio`, on gRPC's own threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.batch import BatchProgress, BatchResult, BatchRun, BatchSummary
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
)
from rerankd_client.connection import ClientOptions, resolve_connection
from rerankd_client.errors import error_of_call
from rerankd_client.health import HealthStatus
from rerankd_client.models import Model
from rerankd_client.requests import BatchDefaults, BatchItem, DocumentInput, RerankOptions, encode_batch_item
from rerankd_client.responses import RerankResponse

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
        target, channel_options = self._connection.target, self._connection.channel_options
        if self._connection.credentials is None:
            self._channel = grpc.insecure_channel(target, channel_options)
        else:
            self._channel = grpc.secure_channel(target, self._connection.credentials, channel_options)
        self._unary: dict[Method, Callable[..., Any]] = {
            method: self._channel.unary_unary(
                method.path,
                request_serializer=serialize,
                response_deserializer=method.response_type.FromString,
            )
            for method in UNARY_METHODS
        }

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

    def health(
        self, service: str = "", *, timeout_s: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> HealthStatus:
        """Ask the standard health service about one service, or the server as a whole."""
        return self._invoke(health_call(service), timeout_s, metadata)

    def batch_rerank(
        self,
        items: Iterable[BatchItem],
        *,
        defaults: BatchDefaults | None = None,
        ordered: bool = False,
        max_concurrency: int | None = None,
        on_progress: Callable[[BatchProgress], None] | None = None,
        timeout_s: float = math.inf,
        metadata: Mapping[str, str] | None = None,
    ) -> Batch:
        """Rerank a stream of items; iterate over what this returns.

        `items` is read in another thread, so that results come while the next item is awaited; what is bound
        to one thread, such as an SQLite cursor, must be read into a queue first.
        """
        run = BatchRun(defaults=defaults, ordered=ordered, max_concurrency=max_concurrency, on_progress=on_progress)

        def open_call(messages: Iterator[pb.BatchRerankRequest]) -> Any:
            return self._channel.stream_stream(
                BATCH_RERANK_PATH,
                request_serializer=serialize_batch,
                response_deserializer=pb.BatchRerankResponse.FromString,
            )(
                messages,
                timeout=self._connection.call_timeout_s(timeout_s),
                metadata=self._connection.call_metadata(metadata),
            )

        return Batch(run, _stream(run, open_call, items))

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
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
        try:
            response = self._unary[call.method](
                call.request,
                timeout=self._connection.call_timeout_s(timeout_s),
                metadata=self._connection.call_metadata(metadata),
            )
        except grpc.RpcError as error:
            raise error_of_call(error) from error
        return call.decode(response)


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


class _Window:
    """Room for items, which the receiving thread gives and the sending thread takes."""

    def __init__(self, size: int) -> None:
        self._room = threading.Semaphore(size)
        self._is_closed = False

    def acquire(self) -> bool:
        """Wait for room; return False when none will come because the call has ended."""
        self._room.acquire()
        return not self._is_closed

    def release(self) -> None:
        """Make room for one item."""
        self._room.release()

    def close(self) -> None:
        """Wake the sending thread for good."""
        self._is_closed = True
        self._room.release()


# A function and not a method, so that dropping the batch drops the generator, which ends the call.
def _stream(
    run: BatchRun,
    open_call: Callable[[Iterator[pb.BatchRerankRequest]], Any],
    items: Iterable[BatchItem],
) -> Generator[BatchResult, None, None]:
    window = _Window(run.window)
    call = open_call(_messages(run, items, window))
    try:
        for message in call:
            result = run.receive(message)
            if result is not None:
                window.release()
                yield result
    except grpc.RpcError as error:
        raise error_of_call(error) from error
    finally:
        window.close()
        call.cancel()
    run.finish()


def _messages(
    run: BatchRun, items: Iterable[BatchItem], window: _Window
) -> Generator[pb.BatchRerankRequest, None, None]:
    yield run.opening
    source = iter(items)
    while window.acquire():
        try:
            message = encode_batch_item(next(source))
        except StopIteration:
            return
        except Exception as error:
            run.source_error = error
            return
        yield message
