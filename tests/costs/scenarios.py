"""The calls whose costs are counted, each the same every time it is made."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rerank.v1 import rerank_service_pb2 as pb
from tests.costs.counting import CHUNK, Callers

DOCUMENTS = tuple(f"{number} text about the capital of France " * 14 for number in range(4))
BM25 = "local/bm25"
REMOTE = "vllm/ranker"
_QUERY = "what is the capital of France"
_numbers = itertools.count()

Call = Callable[[], object]
Prepare = Callable[[Callers], Call]
"""Makes the function that makes one call."""


@dataclass(frozen=True)
class Scenario:
    """One kind of call."""

    name: str
    meaning: str
    """In a line."""
    prepare: Prepare


def texts(count: int, first: int = 0) -> list[str]:
    """Make different short documents, numbered from `first`."""
    return [f"document {index:05d} of the harbour" for index in range(first, first + count)]


def message(
    model: str, documents: Sequence[str] = DOCUMENTS, query: str = _QUERY, *, returns: bool = False
) -> pb.RerankRequest:
    """Make a request of the gRPC service; `returns` asks for the documents in the answer."""
    sent = [pb.Document(text=document) for document in documents]
    return pb.RerankRequest(model=model, query=query, documents=sent, return_documents=returns)


def traceparent(trace_id: int, *, is_sampled: bool) -> tuple[str, str]:
    """Make the header, or gRPC metadata, of a caller whose trace is sampled or not."""
    return "traceparent", f"00-{trace_id:032x}-{1:016x}-{is_sampled:02x}"


def by_grpc(
    model: str,
    documents: Sequence[str] = DOCUMENTS,
    *metadata: tuple[str, str],
    is_new: bool = False,
    returns: bool = False,
) -> Prepare:
    """Prepare calls by gRPC; `is_new`: each with a query of its own, so that no score is known."""

    def prepare(callers: Callers) -> Call:
        request = message(model, documents, returns=returns)

        def call() -> object:
            if is_new:
                request.query = f"{_QUERY} {next(_numbers):08d}"
            return callers.grpc(request, *metadata)

        return call

    return prepare


def by_http(
    model: str, documents: Sequence[str] = DOCUMENTS, *, is_new: bool = False, returns: bool = False
) -> Prepare:
    """Prepare calls by HTTP; otherwise as `by_grpc`."""

    def prepare(callers: Callers) -> Call:
        request = {"model": model, "query": _QUERY, "documents": documents, "return_documents": returns}

        def call() -> object:
            if is_new:
                request["query"] = f"{_QUERY} {next(_numbers):08d}"
            return callers.http(request)

        return call

    return prepare


def _half_known(callers: Callers) -> Call:
    request = {"model": REMOTE, "query": _QUERY, "documents": []}

    def call() -> object:
        request["documents"] = [*texts(CHUNK // 2), *texts(CHUNK // 2, next(_numbers) * CHUNK + CHUNK)]
        return callers.http(request)

    return call


def _by_stream(callers: Callers) -> Call:
    request, stream = message(BM25), callers.stream()
    return lambda: stream.item(request)


GRPC_BM25 = Scenario("grpc_bm25", "gRPC Rerank of 4 documents of 490 bytes by local/bm25", by_grpc(BM25))
HTTP_UPSTREAM = Scenario("http_upstream", "POST /v1/rerank, as grpc_upstream", by_http(REMOTE, is_new=True))
SMALL = (
    GRPC_BM25,
    Scenario("http_bm25", "POST /v1/rerank, as grpc_bm25", by_http(BM25)),
    Scenario(
        "grpc_upstream",
        "gRPC Rerank of 4 documents of 490 bytes by a provider reached over HTTP, no score known",
        by_grpc(REMOTE, is_new=True),
    ),
    HTTP_UPSTREAM,
    Scenario(
        "http_cached",
        f"POST /v1/rerank of {CHUNK} short documents whose scores are all known",
        by_http(REMOTE, texts(CHUNK)),
    ),
    Scenario("http_half_cached", "as http_cached, half of the scores known", _half_known),
    Scenario("http_uncached", "as http_cached, no score known", by_http(REMOTE, texts(CHUNK), is_new=True)),
    Scenario("batch_item", "one item of an open batch stream over gRPC, as grpc_bm25", _by_stream),
)
GRPC_CHUNKS = Scenario(
    "grpc_chunks",
    f"gRPC Rerank of 1,000 short documents by the provider, in chunks of {CHUNK}",
    by_grpc(REMOTE, texts(1000), is_new=True),
)
