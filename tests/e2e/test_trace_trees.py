"""The whole trace of calls that end in every way: what the collector, the provider, the metrics and the log tell."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
import yaml

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.collector import Collector, ReceivedSpan
from tests.support.server import ServerProcess
from tests.support.trace_trees import has_server_span, of_trace, outline
from tests.support.transports import METHOD, to_message
from tests.support.upstream import Upstream, answer_well
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream

CALLER_ID = "00f067aa0ba902b7"
DOCUMENTS = [f"{CANARY_DOCUMENT} {index} of the harbour" for index in range(5)]
STALLS = "stalls"
STATUSES = {"is refused": 400, "has no credit": 402, "is limited": 429, "is broken": 503, "knows no key": 401}
RPC = METHOD.removeprefix("/")
BATCH_RPC = f"{RPC.removesuffix('Rerank')}BatchRerank"
MODEL, CALL = "  rerank search internal", "    rerank ranker client"


def respond(request: Received) -> ScriptedResponse:
    query = request.json()["query"] if request.body else ""
    if STALLS in query:
        return ScriptedResponse(stalls_after_bytes=-1)
    if query in STATUSES:
        return ScriptedResponse.of_json({"message": "no"}, status=STATUSES[query])
    if query == "is nonsense":
        return ScriptedResponse.of_json({"results": [{"index": 99, "relevance_score": 1}]})
    return answer_well(request)


def settings(url: str) -> dict[str, Any]:
    return {
        "default_model": "search",
        "local": {"enabled": False},
        "cache": {"enabled": False},
        "providers": {
            "vllm": {
                "base_url": f"{url}/v1",
                "api_key": CANARY_SECRET,
                "models": {"*": {"max_documents": 3, "scoring": "pointwise"}},
            }
        },
        "models": {
            "search": {
                "deployments": [{"model": "vllm/ranker"}],
                "retries": {"max_attempts": 1},
                "cooldown": {"failures": 0},
            },
            "hedged": {
                "deployments": [{"model": "vllm/ranker", "name": name} for name in ("one", "two")],
                "hedge": {"enabled": True, "min_delay_ms": 500},
            },
        },
        "rerankers": {
            "deep": {
                "strategy": "cascade",
                "config": {
                    "stages": [{"model": "search", "keep": 2, "name": "wide"}, {"model": "inner", "name": "close"}]
                },
            },
            "inner": {"strategy": "dedicated-model", "config": {"model": "search"}},
            "both": {
                "strategy": "fusion",
                "config": {"members": [{"model": "search", "name": "one"}, {"model": "inner", "name": "two"}]},
            },
        },
    }


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    slow: list[Received] = []

    def stall_once(request: Received) -> ScriptedResponse:
        if request.body and request.json()["query"] == "slow once" and not slow:
            slow.append(request)
            return ScriptedResponse(stalls_after_bytes=-1)
        return respond(request)

    with Upstream(stall_once) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(
    upstream: Upstream, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("trees") / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    process = ServerProcess("--config", str(file), environment=collector.environment())
    yield process
    assert process.stop() == 0


def traceparent(trace_id: str) -> str:
    return f"00-{trace_id}-{CALLER_ID}-01"


def trace_of(collector: Collector, trace_id: str) -> list[ReceivedSpan]:
    return of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def came(upstream: Upstream, query: str) -> int:
    return sum(request.json()["query"] == query for request in upstream.received if request.body)


def counted(server: ServerProcess, code: str) -> float:
    """Return how many calls ended with a code, as `/metrics` says."""
    text = httpx.get(f"{server.http_url}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("rerankd_calls_total{") and f'code="{code}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def logged(server: ServerProcess, trace_id: str) -> tuple[str, str, str]:
    entry = server.wait_for_log("call", trace_id=trace_id)
    return entry["code"], entry["reason"], entry["transport"]


def message(query: str, **fields: Any) -> bytes:
    documents = [pb.Document(text=text) for text in DOCUMENTS]
    return pb.RerankRequest(query=query, documents=documents, **fields).SerializeToString()


def call_by_grpc(server: ServerProcess, request: bytes, trace_id: str, timeout: str = "20S") -> grpc.StatusCode:
    """Call with a deadline that the server knows of and the client does not, which would end the call at it as well."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        rerank: Any = channel.unary_unary(METHOD)
        try:
            rerank(request, metadata=(("traceparent", traceparent(trace_id)), ("grpc-timeout", timeout)))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def call_by_http(server: ServerProcess, body: Any, trace_id: str, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.http_url}/v1/rerank",
        json=body,
        headers={"traceparent": traceparent(trace_id), **headers},
        trust_env=False,
        timeout=20,
    )


def open_http(server: ServerProcess, path: str, media: str, body: bytes, trace_id: str) -> socket.socket:
    """Send a request over a connection that the test closes without reading an answer."""
    host, _, port = server.http_url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)))
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntraceparent: {traceparent(trace_id)}\r\n"
    head += f"content-type: {media}\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_an_ndjson_batch_is_one_tree_that_links_its_items(
    server: ServerProcess, upstream: Upstream, collector: Collector
) -> None:
    trace_id = "d" * 31 + "1"
    items = [{"item_id": "a", "request": {"query": "the harbour", "documents": DOCUMENTS}}]
    items += [{"item_id": "b", "request": {"query": "is broken", "documents": DOCUMENTS[:1]}}]
    items += [{"item_id": "c", "request": {"query": "a boat", "documents": DOCUMENTS[:2]}}]
    lines = [{"options": {"max_concurrency": 1, "ordered": True}}, *({"item": item} for item in items)]
    answer = httpx.post(
        f"{server.http_url}/v1/rerank:batch",
        content="\n".join(map(json.dumps, lines)),
        headers={"content-type": "application/x-ndjson", "traceparent": traceparent(trace_id)},
        trust_env=False,
        timeout=20,
    )
    outcomes = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["item"]["item_id"] for each in outcomes if "item" in each] == ["a", "b", "c"]

    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [
        "POST /v1/rerank:batch server 200",
        "  rerank search internal ok",
        "    rerank ranker client ok",
        "    rerank ranker client ok",
        "  rerank search internal PROVIDER_UNAVAILABLE!",
        "    rerank ranker client unavailable!",
        "  rerank search internal ok",
        "    rerank ranker client ok",
    ]
    root = next(span for span in spans if span.kind == "server")
    models = sorted((span for span in spans if span.kind == "internal"), key=lambda span: span.started_ns)
    assert root.links == [span.span_id for span in models]
    calls = {f"00-{trace_id}-{span.span_id}-01" for span in spans if span.kind == "client"}
    assert {each.headers["traceparent"] for each in upstream.received if trace_id in str(each.headers)} == calls


def test_each_member_of_a_reranker_is_a_span_within_the_call(
    server: ServerProcess, upstream: Upstream, collector: Collector
) -> None:
    trace_id = "e" * 31 + "1"
    answer = call_by_http(server, {"model": "deep", "query": "a harbour", "documents": DOCUMENTS}, trace_id)
    assert answer.status_code == 200
    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [
        "POST /v1/rerank server 200",
        "  rerank deep internal ok",
        "    stage wide internal ok",
        "      rerank ranker client ok",
        "      rerank ranker client ok",
        "    stage close internal ok",
        "      stage search internal ok",
        "        rerank ranker client ok",
    ]
    calls = [span for span in spans if span.kind == "client"]
    assert sorted(span.attributes["rerank.chunk.index"] for span in calls) == [0, 1, 2]
    stages = {span.name: span.attributes for span in spans if span.name.startswith("stage")}
    assert [(each["rerank.documents"], each["gen_ai.request.model"]) for each in stages.values()] == [
        (5, "search"),
        (2, "inner"),
        (2, "search"),
    ]
    parents = {f"00-{trace_id}-{span.span_id}-01" for span in calls}
    assert {each.headers["traceparent"] for each in upstream.received if trace_id in str(each.headers)} == parents


@pytest.mark.parametrize("model", ["deep", "both"])
def test_a_client_that_goes_away_cancels_every_member(
    server: ServerProcess, upstream: Upstream, collector: Collector, model: str
) -> None:
    trace_id, query = "e" * 31 + {"deep": "2", "both": "3"}[model], f"{STALLS} in {model}"
    running, left = {"deep": 2, "both": 4}[model], upstream.clients_left
    body = json.dumps({"model": model, "query": query, "documents": DOCUMENTS}).encode()
    with open_http(server, "/v1/rerank", "application/json", body, trace_id):
        wait_until(lambda: came(upstream, query) == running)

    spans = trace_of(collector, trace_id)
    assert {span.attributes["rerank.outcome"] for span in spans if span.kind == "client"} == {"cancelled"}
    assert {span.attributes["rerank.outcome"] for span in spans if span.name.startswith("stage")} == {"cancelled"}
    wait_until(lambda: upstream.clients_left >= left + running)


def test_a_client_that_goes_away_over_http(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id, query = "d" * 31 + "2", f"{STALLS} over http"
    before, left = counted(server, "CANCELLED"), upstream.clients_left
    body = json.dumps({"query": query, "documents": DOCUMENTS}).encode()
    with open_http(server, "/v1/rerank", "application/json", body, trace_id):
        wait_until(lambda: came(upstream, query) == 2)

    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [
        "POST /v1/rerank server 499",
        "  rerank search internal CANCELLED!",
        "    rerank ranker client cancelled",
        "    rerank ranker client cancelled",
    ]
    assert logged(server, trace_id) == ("CANCELLED", "CANCELLED", "http")
    assert counted(server, "CANCELLED") == before + 1
    wait_until(lambda: upstream.clients_left == left + 2)


def test_a_client_that_cancels_over_grpc(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id, query = "d" * 31 + "3", f"{STALLS} over grpc"
    before, left = counted(server, "CANCELLED"), upstream.clients_left
    with grpc.insecure_channel(server.grpc_address) as channel:
        rerank: Any = channel.unary_unary(METHOD)
        call = rerank.future(message(query), metadata=(("traceparent", traceparent(trace_id)),))
        wait_until(lambda: came(upstream, query) == 2)
        assert call.cancel()

    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [
        "rerank.v1.RerankService/Rerank server CANCELLED",
        "  rerank search internal CANCELLED!",
        "    rerank ranker client cancelled",
        "    rerank ranker client cancelled",
    ]
    assert logged(server, trace_id) == ("CANCELLED", "CANCELLED", "grpc")
    assert counted(server, "CANCELLED") == before + 1
    wait_until(lambda: upstream.clients_left == left + 2)


def test_a_batch_whose_client_goes_away_over_http(
    server: ServerProcess, upstream: Upstream, collector: Collector
) -> None:
    trace_id, query = "d" * 31 + "c", f"{STALLS} in a batch over http"
    item = {"item": {"item_id": "a", "request": {"query": query, "documents": DOCUMENTS}}}
    body = json.dumps(item).encode() + b"\n"
    with open_http(server, "/v1/rerank:batch", "application/x-ndjson", body, trace_id):
        wait_until(lambda: came(upstream, query) == 2)
    assert outline(trace_of(collector, trace_id), CALLER_ID) == [
        "POST /v1/rerank:batch server 499",
        f"{MODEL} CANCELLED!",
        *([f"{CALL} cancelled"] * 2),
    ]


def test_a_batch_whose_client_cancels_over_grpc(
    server: ServerProcess, upstream: Upstream, collector: Collector
) -> None:
    trace_id, query = "d" * 31 + "e", f"{STALLS} in a batch over grpc"
    item = pb.BatchRerankRequest(
        item=pb.BatchItem(item_id="a", request=to_message({"query": query, "documents": DOCUMENTS}))
    )
    with grpc.insecure_channel(server.grpc_address) as channel:
        batch: Any = channel.stream_stream(f"/{BATCH_RPC}")
        call = batch(iter([item.SerializeToString()]), metadata=(("traceparent", traceparent(trace_id)),))
        wait_until(lambda: came(upstream, query) == 2)
        assert call.cancel()
    assert outline(trace_of(collector, trace_id), CALLER_ID) == [
        f"{BATCH_RPC} server CANCELLED",
        f"{MODEL} CANCELLED!",
        *([f"{CALL} cancelled"] * 2),
    ]


def assert_cut_off(lines: list[str]) -> None:
    """Check the two provider calls of a call whose deadline passed: for them as well, or the call ended them."""
    assert len(lines) == 2
    assert set(lines) <= {f"{CALL} timeout!", f"{CALL} cancelled"}


def test_a_deadline_that_passes_over_grpc(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id = "d" * 31 + "4"
    left = upstream.clients_left
    code = call_by_grpc(server, message(f"{STALLS} until the deadline"), trace_id, timeout="3S")
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED

    lines = outline(trace_of(collector, trace_id), CALLER_ID)
    assert lines[:2] == [
        "rerank.v1.RerankService/Rerank server DEADLINE_EXCEEDED!",
        "  rerank search internal DEADLINE_EXCEEDED!",
    ]
    assert_cut_off(lines[2:])
    assert logged(server, trace_id) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "grpc")
    wait_until(lambda: upstream.clients_left == left + 2)


def test_a_deadline_that_passes_over_http(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id = "d" * 31 + "5"
    left = upstream.clients_left
    body = {"query": f"{STALLS} until the deadline", "documents": DOCUMENTS}
    answer = call_by_http(server, body, trace_id, **{"x-request-timeout-ms": "3000"})
    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")

    lines = outline(trace_of(collector, trace_id), CALLER_ID)
    assert lines[:2] == ["POST /v1/rerank server 504!", "  rerank search internal DEADLINE_EXCEEDED!"]
    assert_cut_off(lines[2:])
    assert logged(server, trace_id) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "http")
    wait_until(lambda: upstream.clients_left == left + 2)


FAILED: list[tuple[dict[str, Any], str, int, list[str]]] = [
    ({"query": ""}, "INVALID_ARGUMENT", 400, ["  rerank internal INVALID_REQUEST!"]),
    ({"model": "none"}, "NOT_FOUND", 404, ["  rerank none internal MODEL_NOT_FOUND!"]),
    ({"query": "is refused"}, "INVALID_ARGUMENT", 400, [f"{MODEL} PROVIDER_REJECTED_REQUEST!", f"{CALL} rejected!"]),
    ({"query": "is limited"}, "RESOURCE_EXHAUSTED", 429, [f"{MODEL} PROVIDER_RATE_LIMITED!", f"{CALL} rate_limited!"]),
    ({"query": "is broken"}, "UNAVAILABLE", 503, [f"{MODEL} PROVIDER_UNAVAILABLE!", f"{CALL} unavailable!"]),
    ({"query": "knows no key"}, "INTERNAL", 502, [f"{MODEL} PROVIDER_CREDENTIALS_REJECTED!", f"{CALL} credentials!"]),
    ({"query": "is nonsense"}, "INTERNAL", 502, [f"{MODEL} PROVIDER_BAD_RESPONSE!", f"{CALL} bad_response!"]),
]
"""What is asked, gRPC code, HTTP status, and the spans below the server's."""
FAULTS = {"UNAVAILABLE", "INTERNAL"}


@pytest.mark.parametrize(("asked", "code", "status", "below"), FAILED, ids=[str(case[0]) for case in FAILED])
def test_a_call_that_fails_has_the_status_the_caller_saw(
    server: ServerProcess, collector: Collector, asked: dict[str, Any], code: str, status: int, below: list[str]
) -> None:
    place = next(index for index, case in enumerate(FAILED) if case[0] == asked)
    by_grpc, by_http = f"{'e' * 30}{place:02x}", f"{'f' * 30}{place:02x}"
    request = {"query": "harbour", "documents": DOCUMENTS[:2], **asked}
    assert call_by_grpc(server, to_message(request).SerializeToString(), by_grpc).name == code
    assert call_by_http(server, request, by_http).status_code == status
    mark = "!" if code in FAULTS else ""
    assert outline(trace_of(collector, by_grpc), CALLER_ID) == [f"{RPC} server {code}{mark}", *below]
    assert outline(trace_of(collector, by_http), CALLER_ID) == [f"POST /v1/rerank server {status}{mark}", *below]


def test_a_batch_that_breaks_its_own_rules_ends_with_its_status(server: ServerProcess, collector: Collector) -> None:
    trace_id = "d" * 31 + "6"
    request = to_message({"query": "the harbour", "documents": DOCUMENTS[:1]})
    messages = [
        pb.BatchRerankRequest(item=pb.BatchItem(item_id="a", request=request)),
        pb.BatchRerankRequest(options=pb.BatchOptions(ordered=True)),
    ]
    with grpc.insecure_channel(server.grpc_address) as channel:
        batch: Any = channel.stream_stream(f"/{BATCH_RPC}")
        answers = batch(
            (each.SerializeToString() for each in messages),
            timeout=20,
            metadata=(("traceparent", traceparent(trace_id)),),
        )
        with pytest.raises(grpc.RpcError):
            list(answers)
        assert answers.code() is grpc.StatusCode.INVALID_ARGUMENT
    lines = outline(trace_of(collector, trace_id), CALLER_ID)
    assert lines[0] == f"{BATCH_RPC} server INVALID_ARGUMENT"
    assert lines[1:] in (
        [f"{MODEL} ok", f"{CALL} ok"],
        [f"{MODEL} CANCELLED!", f"{CALL} cancelled"],
        [f"{MODEL} CANCELLED!"],
        [],
    ), "the item is answered or given up, whichever comes first"


def test_a_hedge_is_an_event_and_a_second_call(server: ServerProcess, collector: Collector) -> None:
    trace_id = "d" * 31 + "b"
    for _ in range(60):  # until it is known how long a call takes
        assert call_by_grpc(server, message("usual", model="hedged"), "c" * 32) is grpc.StatusCode.OK
    assert call_by_grpc(server, message("slow once", model="hedged"), trace_id) is grpc.StatusCode.OK
    spans = trace_of(collector, trace_id)
    model = next(span for span in spans if span.kind == "internal")
    ((event, attributes),) = model.events
    (given_up,) = [span for span in spans if span.kind == "client" and span.attributes["rerank.outcome"] != "ok"]
    assert event == "hedge"
    assert {attributes["deployment"], given_up.attributes["rerank.deployment"]} == {"one", "two"}
    outcome = given_up.attributes["rerank.outcome"]  # where the process pauses, it may stop waiting before it hedges
    stalled = f"{CALL} {outcome}{'!' if given_up.is_error else ''}"
    index = given_up.attributes["rerank.chunk.index"]
    below = {0: [stalled, f"{CALL} ok", f"{CALL} ok"], 1: [f"{CALL} ok", stalled, f"{CALL} ok"]}
    assert outline(spans, CALLER_ID) == [f"{RPC} server OK", "  rerank hedged internal ok +hedge", *below[index]]


@pytest.mark.parametrize("method", ["Rerank", "RerankStream"])
def test_a_call_of_the_tei_service_is_a_tree_of_the_same_form(
    server: ServerProcess, collector: Collector, method: str
) -> None:
    trace_id = f"{'d' * 30}{'8' if method == 'Rerank' else '9'}0"
    found = find_method("tei.v1.Rerank", method)
    with grpc.insecure_channel(server.grpc_address) as channel:
        metadata = (("traceparent", traceparent(trace_id)),)
        if method == "Rerank":
            once: Any = channel.unary_unary(f"/tei.v1.Rerank/{method}")
            once(found.request(query="harbour", texts=DOCUMENTS[:2]).SerializeToString(), metadata=metadata)
        else:
            streamed: Any = channel.stream_unary(f"/tei.v1.Rerank/{method}")
            texts = [found.request(query="harbour", text=text).SerializeToString() for text in DOCUMENTS[:2]]
            streamed(iter(texts), metadata=metadata)
    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [f"tei.v1.Rerank/{method} server OK", f"{MODEL} ok", f"{CALL} ok"]
    root = next(span for span in spans if span.kind == "server")
    assert root.attributes["rpc.method"] == f"tei.v1.Rerank/{method}"


def test_the_stages_of_the_embedded_model_have_a_span_each(collector: Collector) -> None:
    trace_id = "d" * 31 + "a"
    running = ServerProcess(environment=collector.environment(RERANKD_CACHE__ENABLED="false"), preloads=True)
    request = {"model": "local/default", "query": "harbour", "documents": DOCUMENTS}
    answer = call_by_http(running, request, trace_id).json()
    assert running.stop() == 0
    stages = answer["extra_fields"]["stages"]
    assert stages[0]["stage"] == "lexical-static"

    spans = trace_of(collector, trace_id)
    assert outline(spans, CALLER_ID) == [
        "POST /v1/rerank server 200",
        "  rerank local/default internal ok",
        "    rerank default client ok",
        *(f"      stage {stage['stage']} internal unset" for stage in stages),
    ]
    for stage in stages:
        (span,) = [each for each in spans if each.name == f"stage {stage['stage']}"]
        assert span.attributes["rerank.stage"] == stage["stage"]
        assert span.attributes["rerank.documents"] == stage["documents"]
        assert span.attributes["gen_ai.response.model"] == stage["model"]


@pytest.fixture
async def tei() -> AsyncIterator[tuple[FakeUpstream, list[dict[str, str]]]]:
    """A TEI server that speaks gRPC, and the metadata of every call it got."""
    metadata: list[dict[str, str]] = []
    rerank, info = find_method("tei.v1.Rerank", "Rerank"), find_method("tei.v1.Info", "Info")

    async def score(requests: list[Any], context: Any) -> Any:
        metadata.append(dict(context.invocation_metadata()))
        ranks = [{"index": index, "score": 0.5} for index, _ in enumerate(requests[0].texts)]
        return rerank.response(ranks=ranks, metadata={"compute_tokens": 7})

    fake = FakeUpstream()
    fake.on(rerank, score)
    fake.answer(info, info.response(model_id="BAAI/x", model_type=2, max_client_batch_size=2, max_input_length=512))
    await fake.start()
    yield fake, metadata
    await fake.stop()


async def test_a_grpc_upstream_is_told_the_trace(
    tei: tuple[FakeUpstream, list[dict[str, str]]], collector: Collector
) -> None:
    fake, received = tei
    variables = {"TEI_GRPC_API_BASE": fake.base_url, "RERANKD_LOCAL__ENABLED": "false", "NO_PROXY": "127.0.0.1"}
    running = await asyncio.to_thread(ServerProcess, environment=collector.environment(**variables))
    await asyncio.to_thread(running.wait_for_log, "models and limits refreshed", provider="tei_grpc")
    trace_id = "d" * 31 + "7"
    request = {"model": "tei_grpc/BAAI/x", "query": "q", "documents": DOCUMENTS}
    answer = await asyncio.to_thread(call_by_http, running, request, trace_id, tracestate="vendor=x")
    assert answer.status_code == 200, answer.text
    assert await asyncio.to_thread(running.stop) == 0

    spans = await asyncio.to_thread(trace_of, collector, trace_id)
    call = "    rerank BAAI/x client ok"
    assert outline(spans, CALLER_ID) == [
        "POST /v1/rerank server 200",
        "  rerank tei_grpc/BAAI/x internal ok",
        *([call] * 3),
    ]
    calls = {f"00-{trace_id}-{span.span_id}-01" for span in spans if span.kind == "client"}
    assert {each["traceparent"] for each in received} == calls
    assert [each["tracestate"] for each in received] == ["vendor=x"] * 3
