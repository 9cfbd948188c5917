"""Servers of the Open Inference Protocol, NVIDIA NIM among them."""

from __future__ import annotations

import struct
from typing import Any

import grpc
import pytest

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Capabilities, ScoreSpace, Scoring, Truncation
from rerankd_adapters.providers.kserve import KSERVE
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, Open, call_of, failure, open_upstream
from tests.unit.adapters_grpc.kserve_messages import INFER, output, scores_of, texts_of


async def test_separate_tensors(kserve: Open, server: FakeUpstream) -> None:
    server.answer(INFER, scores_of(0.25, -1.5))
    reply = await kserve().rerank(call_of(["é", "日本"], options={"priority": 3.0, "bold": True, "t": 0.5}))
    assert (list(reply.indices), list(reply.scores), reply.model) == ([0, 1], [0.25, -1.5], "m")
    (request,) = server.requests
    query, document = request.inputs
    assert (request.model_name, [each.name for each in request.outputs]) == ("m", ["score"])
    assert (query.name, query.datatype, list(query.shape), texts_of(query)) == ("query", "BYTES", [2, 1], ["q", "q"])
    assert (document.name, list(document.shape), texts_of(document)) == ("document", [2, 1], ["é", "日本"])
    assert request.parameters["priority"].int64_param == 3
    assert request.parameters["bold"].bool_param is True
    assert request.parameters["t"].double_param == 0.5


async def test_raw_contents_both_ways(kserve: Open, server: FakeUpstream) -> None:
    raw = [struct.pack("<2i", 7, 8), struct.pack("<2f", 0.5, 0.75)]
    outputs = [output("other", "INT32", [2]), output("s", "FP32", [2])]
    server.answer(INFER, INFER.response(outputs=outputs, raw_output_contents=raw))
    options = {"query_input": "Q", "document_input": "D", "score_output": "s", "input_rank": 1}
    upstream = kserve(**options, repeats_query="false", raw_contents="true", model_version="4")
    reply = await upstream.rerank(call_of(["a", "日"]))
    assert list(reply.scores) == [0.5, 0.75]
    (request,) = server.requests
    assert [(each.name, list(each.shape)) for each in request.inputs] == [("Q", [1]), ("D", [2])]
    assert list(request.raw_input_contents) == [b"\x01\0\0\0q", b"\x01\0\0\0a\x03\0\0\0\xe6\x97\xa5"]
    assert not any(each.HasField("contents") for each in request.inputs)
    assert request.model_version == "4"


async def test_one_tensor_of_pairs(kserve: Open, server: FakeUpstream) -> None:
    server.answer(INFER, scores_of(1, 2))
    await kserve(pair_input="pair").rerank(call_of(["a", "b"]))
    (pair,) = server.requests[0].inputs
    assert (pair.name, list(pair.shape), texts_of(pair)) == ("pair", [2, 2], ["q", "a", "q", "b"])
    await kserve(pair_input="pair", pair_separator=" [SEP] ").rerank(call_of(["a", "b"]))
    (pair,) = server.requests[0].inputs
    assert (list(pair.shape), texts_of(pair)) == ([2, 1], ["q [SEP] a", "q [SEP] b"])


async def test_one_of_two_columns(kserve: Open, server: FakeUpstream) -> None:
    columns = output("score", "FP64", [2, 2], fp64_contents=[0.1, 0.9, 0.7, 0.3])
    server.answer(INFER, INFER.response(outputs=[columns]))
    assert list((await kserve(score_column="1").rerank(call_of(["a", "b"]))).scores) == [0.9, 0.3]
    assert "score_column" in (await failure(kserve())).message
    assert (await failure(kserve(score_column=2))).kind is AdapterErrorKind.BAD_RESPONSE


@pytest.mark.parametrize("logits", [[4.0, 2.0, -1.0], [2.0, -1.0, 4.0]], ids=["ranked", "in the documents' order"])
async def test_nim_preset(kserve: Open, server: FakeUpstream, logits: list[float]) -> None:
    outputs = [
        output("index", "INT32", [3, 1], int_contents=[2, 0, 1]),
        output("logit", "FP32", [3, 1], fp32_contents=logits),
        output("token_count", "INT32", [3], int_contents=[10, 11, 12]),
    ]
    server.answer(INFER, INFER.response(outputs=outputs))
    upstream = kserve(preset="nim")
    call = call_of(["a", "b", "c"], model="nvidia/llama-3.2-nv-rerankqa-1b-v2", truncation=Truncation.NONE)
    reply = await upstream.rerank(call)
    assert dict(zip(reply.indices, reply.scores, strict=True)) == {2: 4.0, 0: 2.0, 1: -1.0}
    assert reply.prompt_tokens == 33
    (request,) = server.requests
    assert request.model_name == "nvidia_llama_3_2_nv_rerankqa_1b_v2"
    assert [each.name for each in request.inputs] == ["query", "passage"]
    assert request.parameters["truncate"].string_param == "NONE"
    facts = upstream.describe("m").capabilities
    assert (facts.score_space, facts.max_documents) == (ScoreSpace.LOGIT, 512)
    await upstream.rerank(call_of(["a", "b", "c"]))
    assert server.requests[0].parameters["truncate"].string_param == "END"


async def test_positions_without_tokens(kserve: Open, server: FakeUpstream) -> None:
    outputs = [
        output("i", "INT64", [2], int64_contents=[1, 0]),
        output("score", "FP32", [2], fp32_contents=[0.9, 0.1]),
    ]
    server.answer(INFER, INFER.response(outputs=outputs))
    reply = await kserve(index_output="i", token_output="tokens").rerank(call_of(["a", "b"]))
    assert (list(reply.indices), reply.prompt_tokens) == ([1, 0], 0)
    assert dict(zip(reply.indices, reply.scores, strict=True))[1] == pytest.approx(0.9)
    floats = [output("i", "FP32", [2], fp32_contents=[1, 0]), outputs[1]]
    server.answer(INFER, INFER.response(outputs=floats))
    assert (await failure(kserve(index_output="i"))).message == "an index is not an integer"


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'm' is not found", AdapterErrorKind.MODEL_NOT_FOUND),
        (grpc.StatusCode.INVALID_ARGUMENT, "batch-size must be <= 8 for 'm'", AdapterErrorKind.REJECTED),
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", AdapterErrorKind.UNAVAILABLE),
        (grpc.StatusCode.INTERNAL, "onnx runtime error 2", AdapterErrorKind.UNAVAILABLE),
        (grpc.StatusCode.UNIMPLEMENTED, "", AdapterErrorKind.BAD_RESPONSE),
    ],
)
async def test_statuses(
    kserve: Open, server: FakeUpstream, code: grpc.StatusCode, details: str, kind: AdapterErrorKind
) -> None:
    server.abort(INFER, code, details)
    assert (await failure(kserve())).kind is kind


async def test_what_it_cannot_be_asked_for(kserve: Open, server: FakeUpstream) -> None:
    error = await failure(kserve(), truncation=Truncation.NONE)
    assert (error.kind, error.field) == (AdapterErrorKind.UNSUPPORTED, "truncation")
    error = await failure(kserve(preset="nim"), truncation=Truncation.START)
    assert (error.kind, error.field) == (AdapterErrorKind.UNSUPPORTED, "truncation")
    error = await failure(kserve(), options={"nested": {"a": 1}})
    assert (error.kind, error.field) == (AdapterErrorKind.UNSUPPORTED, "provider_options.nested")
    assert not server.started.is_set()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "triton"},
        {"input_datatype": "INT64"},
        {"input_rank": 3},
        {"score_space": "percent"},
        {"max_documents": 0},
        {"score_column": "first"},
        {"raw_contents": "maybe"},
    ],
)
async def test_options_that_make_no_sense(kserve: Open, options: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match=next(iter(options))) as caught:
        kserve(**options)
    assert caught.value.kind is AdapterErrorKind.REJECTED


async def test_models_are_those_of_the_operator() -> None:
    facts = Capabilities(scoring=Scoring.POINTWISE, source="the operator")
    upstream = open_upstream(KSERVE, "grpc://127.0.0.1", {"max_documents": "8"}, overrides={"b": facts, "a": facts})
    assert [model.name for model in upstream.models()] == ["a", "b"]
    assert upstream.models()[0].capabilities.scoring is Scoring.POINTWISE
    assert upstream.models()[0].capabilities.max_documents == 8
    assert upstream.describe("c").capabilities.scoring is Scoring.UNKNOWN


def test_every_option_is_declared() -> None:
    upstream = open_upstream(KSERVE, "grpc://127.0.0.1")
    read = set(type(upstream._chosen).__slots__)  # type: ignore[attr-defined]  # of this kind of provider
    named = {"has_raw_contents": "raw_contents", "has_underscored_names": "model_names"}
    assert {named.get(name, name) for name in read} | {"preset", "input_datatype"} == set(KSERVE.options)
