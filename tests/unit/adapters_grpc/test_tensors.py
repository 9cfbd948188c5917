"""Tensors as servers send them, well-formed and not."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.grpc_upstream.tensors import pack_texts
from rerankd_adapters.providers.kserve import KSERVE
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, Open, call_of, failure, open_upstream
from tests.unit.adapters_grpc.kserve_messages import INFER, output, scores_of


@pytest.mark.parametrize(
    ("datatype", "raw", "expected"),
    [
        ("FP16", struct.pack("<2e", 0.5, -2), [0.5, -2.0]),
        ("BF16", b"\x00\x3f\x00\xc0", [0.5, -2.0]),
        ("FP64", struct.pack("<2d", 0.5, -2), [0.5, -2.0]),
        ("INT8", b"\x05\xff", [5.0, -1.0]),
        ("UINT64", struct.pack("<2Q", 5, 6), [5.0, 6.0]),
    ],
)
async def test_datatypes_of_raw_scores(
    kserve: Open, server: FakeUpstream, datatype: str, raw: bytes, expected: list[float]
) -> None:
    outputs = [output("score", datatype, [2, 1])]
    server.answer(INFER, INFER.response(outputs=outputs, raw_output_contents=[raw]))
    assert list((await kserve().rerank(call_of(["a", "b"]))).scores) == expected


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (INFER.response(), "no output score; the model has none"),
        (INFER.response(outputs=[output("x", "FP32", [2])]), "the model has x"),
        (INFER.response(outputs=[output("score", "FP32", [2])]), "holds 0 elements, its shape says 2"),
        (INFER.response(outputs=[output("score", "FP32", [-1])]), "negative size"),
        (INFER.response(outputs=[output("score", "BYTES", [2], bytes_contents=[b"a", b"b"])]), "is BYTES, not numbers"),
        (INFER.response(outputs=[output("score", "", [2], fp32_contents=[1, 2])]), "no datatype"),
        (INFER.response(outputs=[output("score", "FP32", [2])], raw_output_contents=[b"123"]), "3 bytes"),
        (INFER.response(outputs=[output("score", "BYTES", [2])], raw_output_contents=[b"123"]), "not numbers"),
        (
            INFER.response(outputs=[output("x", "FP32", [0]), output("score", "FP32", [2])], raw_output_contents=[b""]),
            "no raw contents",
        ),
        (
            INFER.response(outputs=[output("score", "FP32", [2**62, 4])], raw_output_contents=[b"1234"]),
            "which are not",
        ),
    ],
)
async def test_malformed_tensors(kserve: Open, server: FakeUpstream, response: Any, message: str) -> None:
    server.answer(INFER, response)
    error = await failure(kserve())
    assert error.kind is AdapterErrorKind.BAD_RESPONSE
    assert message in error.message


async def test_wrong_number_and_nan_are_left_to_the_engine(kserve: Open, server: FakeUpstream) -> None:
    server.answer(INFER, scores_of(math.nan))
    reply = await kserve().rerank(call_of(["a", "b", "c"]))
    assert (list(reply.indices), math.isnan(reply.scores[0])) == ([0], True)


@given(body=st.binary(max_size=200) | st.builds(lambda tail: scores_of(1.0).SerializeToString() + tail, st.binary()))
def test_whatever_bytes_arrive(body: bytes) -> None:
    upstream = open_upstream(KSERVE, "grpc://127.0.0.1", {"preset": "nim", "score_output": "score"})
    kinds = set()
    try:
        upstream.parse(call_of(["a"]), INFER.decode(body))
    except AdapterError as error:
        kinds.add(error.kind)
    assert kinds <= {AdapterErrorKind.BAD_RESPONSE}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_raw_texts_can_be_read_back(texts: list[str]) -> None:
    raw, read = pack_texts(texts), []
    while raw:
        (size,) = struct.unpack_from("<I", raw)
        read.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    assert read == texts
