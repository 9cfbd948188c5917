"""Text Embeddings Inference over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Capabilities, Truncation
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.grpc_upstream.tei import TeiGrpc, TeiInfo
from rerankd_adapters.providers.tei_grpc import TEI_GRPC
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, call_of, failure, open_upstream

RERANK = find_method("tei.v1.Rerank", "Rerank")
STREAM = find_method("tei.v1.Rerank", "RerankStream")
INFO = find_method("tei.v1.Info", "Info")
WINDOW_CHARS = 40


async def score(requests: list[Any], context: Any) -> Any:
    """Score by length, sort ascending, reverse: as the server does, so that ties come back in reverse."""
    first = requests[0]
    texts = [request.text for request in requests] if hasattr(first, "text") else list(first.texts)
    if not first.truncate and any(len(text) > WINDOW_CHARS for text in texts):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "`inputs` must have less than 40 tokens. Given: 99")
    factor = 1.0 if first.raw_scores else 0.0078125
    ranks = [{"index": index, "score": len(text) * factor} for index, text in enumerate(texts)]
    ranks = sorted(ranks, key=lambda rank: rank["score"])[::-1]
    return RERANK.response(ranks=ranks, metadata={"compute_tokens": sum(map(len, texts))})


@pytest.fixture
async def tei(server: FakeUpstream) -> AsyncIterator[TeiGrpc]:
    server.on(RERANK, score)
    upstream = open_upstream(TEI_GRPC, server.base_url)
    assert isinstance(upstream, TeiGrpc)
    yield upstream
    await upstream.close()


async def test_ranks_come_sorted_and_ties_in_reverse(tei: TeiGrpc, server: FakeUpstream) -> None:
    reply = await tei.rerank(call_of(["aa", "b", "cc", "dddd"], top_n=1, max_tokens_per_doc=9))
    assert list(reply.indices) == [3, 2, 0, 1]
    assert list(reply.scores) == [0.03125, 0.015625, 0.015625, 0.0078125]
    assert reply.prompt_tokens == 9
    assert reply.warnings == ["max_tokens_per_doc was ignored: Text Embeddings Inference (gRPC) has no such parameter"]
    (request,) = server.requests
    assert (request.query, list(request.texts)) == ("q", ["aa", "b", "cc", "dddd"])
    assert (request.truncate, request.truncation_direction, request.return_text) == (True, 0, False)
    assert server.time_remaining_s is not None
    assert 50 < server.time_remaining_s < 62
    assert "authorization" not in server.metadata
    assert "traceparent" not in server.metadata


@pytest.mark.parametrize(
    ("truncation", "sent"),
    [(None, (True, 0)), (Truncation.END, (True, 0)), (Truncation.START, (True, 1)), (Truncation.NONE, (False, 0))],
)
async def test_truncation_is_always_sent(
    tei: TeiGrpc, server: FakeUpstream, truncation: Truncation | None, sent: tuple[bool, int]
) -> None:
    await tei.rerank(call_of(["a"], truncation=truncation))
    assert (server.requests[0].truncate, server.requests[0].truncation_direction) == sent


async def test_raw_scores(tei: TeiGrpc) -> None:
    reply = await tei.rerank(call_of(["aa", "b"], options={"raw_scores": True}))
    assert list(reply.scores) == [2.0, 1.0]


async def test_its_own_names(server: FakeUpstream, tei: TeiGrpc) -> None:
    options = {"truncate": True, "truncation_direction": "Left", "top_k": 1}
    reply = await tei.rerank(call_of(["a"], options=options))
    assert (server.requests[0].truncate, server.requests[0].truncation_direction) == (True, 1)
    assert [warning.split()[0] for warning in reply.warnings] == ["top_k"]


@pytest.mark.parametrize("options", [{"texts": ["other"]}, {"return_text": True}])
async def test_protected_options(tei: TeiGrpc, options: dict[str, Any]) -> None:
    error = await failure(tei, options=options)
    assert error.kind is AdapterErrorKind.UNSUPPORTED
    assert error.field == f"provider_options.{next(iter(options))}"


async def test_text_too_long(tei: TeiGrpc) -> None:
    with pytest.raises(AdapterError) as caught:
        await tei.rerank(call_of(["x" * 99], truncation=Truncation.NONE))
    assert caught.value.kind is AdapterErrorKind.REJECTED
    assert caught.value.message == "gRPC INVALID_ARGUMENT: `inputs` must have less than 40 tokens. Given: 99"


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "batch is empty", AdapterErrorKind.REJECTED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Model is overloaded", AdapterErrorKind.RATE_LIMITED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max", AdapterErrorKind.REJECTED),
        (grpc.StatusCode.OUT_OF_RANGE, "decoded message length too large", AdapterErrorKind.REJECTED),
        (grpc.StatusCode.UNAVAILABLE, "unhealthy", AdapterErrorKind.UNAVAILABLE),
        (grpc.StatusCode.FAILED_PRECONDITION, "backend error: out of memory", AdapterErrorKind.UNAVAILABLE),
        (grpc.StatusCode.FAILED_PRECONDITION, "tokenizer error: no", AdapterErrorKind.REJECTED),
        (grpc.StatusCode.FAILED_PRECONDITION, "model is not a re-ranker model", AdapterErrorKind.MODEL_NOT_FOUND),
        (grpc.StatusCode.UNAUTHENTICATED, "", AdapterErrorKind.CREDENTIALS),
        (grpc.StatusCode.PERMISSION_DENIED, "", AdapterErrorKind.CREDENTIALS),
        (grpc.StatusCode.INTERNAL, "", AdapterErrorKind.UNAVAILABLE),
        (grpc.StatusCode.CANCELLED, "", AdapterErrorKind.UNAVAILABLE),
    ],
)
async def test_statuses(
    tei: TeiGrpc, server: FakeUpstream, code: grpc.StatusCode, details: str, kind: AdapterErrorKind
) -> None:
    server.abort(RERANK, code, details)
    error = await failure(tei)
    assert (error.kind, error.retry_after_s) == (kind, None)
    assert error.message == (f"gRPC {code.name}: {details}" if details else f"gRPC {code.name}")


async def test_service_of_another_kind(tei: TeiGrpc, server: FakeUpstream) -> None:
    server._answers.clear()
    assert (await failure(tei)).kind is AdapterErrorKind.BAD_RESPONSE


async def test_a_thousand_texts(tei: TeiGrpc) -> None:
    texts = ["x" * (1 + index % 30) + "é日" for index in range(1000)]
    reply = await tei.rerank(call_of(texts, truncation=Truncation.NONE))
    assert sorted(reply.indices) == list(range(1000))
    assert list(reply.scores) == sorted(reply.scores, reverse=True)


async def test_stream_of_a_thousand_texts(server: FakeUpstream) -> None:
    server.on(STREAM, score)
    upstream = open_upstream(TEI_GRPC, server.base_url, {"streams": "true"})
    reply = await upstream.rerank(call_of([f"text {index}" for index in range(1000)], options={"raw_scores": True}))
    assert sorted(reply.indices) == list(range(1000))
    assert (len(server.requests), server.requests[999].text) == (1000, "text 999")
    assert server.requests[0].raw_scores
    assert upstream.describe("m").capabilities.max_documents is None
    await upstream.close()


async def test_text_that_is_no_unicode(tei: TeiGrpc) -> None:
    with pytest.raises(AdapterError) as caught:
        await tei.rerank(call_of(["\ud800"]))
    assert caught.value.kind is AdapterErrorKind.REJECTED


async def test_info(tei: TeiGrpc, server: FakeUpstream) -> None:
    answer = {"model_id": "BAAI/bge", "model_type": 2, "max_client_batch_size": 64, "max_input_length": 512}
    server.answer(INFO, INFO.response(version="1.9.3", **answer))
    assert await tei.info() == TeiInfo("BAAI/bge", True, 64, 512, "1.9.3")


@pytest.mark.parametrize(("streams", "limit"), [(False, 64), (True, None)])
async def test_limits_follow_the_server(server: FakeUpstream, streams: bool, limit: int | None) -> None:
    info = INFO.response(model_id="/data/ours", model_type=2, max_client_batch_size=64, max_input_length=512)
    server.answer(INFO, info)
    tei = open_upstream(TEI_GRPC, server.base_url, {"streams": streams})
    assert tei.models() == []
    assert await tei.refresh()
    facts = tei.describe("any").capabilities
    assert (facts.max_documents, facts.max_tokens_per_document) == (limit, 512)
    assert [model.name for model in tei.models()] == ["ours"]
    server.abort(INFO, grpc.StatusCode.UNAVAILABLE, "down")
    with pytest.raises(AdapterError):
        await tei.refresh()
    assert tei.describe("any").capabilities.max_tokens_per_document == 512
    await tei.close()


async def test_the_operator_knows_better_than_the_server(server: FakeUpstream) -> None:
    server.answer(INFO, INFO.response(model_id="x", model_type=2, max_client_batch_size=64, max_input_length=512))
    tei = open_upstream(TEI_GRPC, server.base_url, overrides={"*": Capabilities(max_documents=5)})
    await tei.refresh()
    assert tei.describe("x").capabilities.max_documents == 5
    await tei.close()
