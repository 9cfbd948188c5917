"""Large objects decoded in slices are what the decoder of whole texts makes of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from rerankd.contract.messages import RerankRequest
from rerankd.gateway.decoding import keys_of
from rerankd.gateway.dialects.superset import SharedBody
from rerankd.gateway.dialects.vllm import VllmBody
from rerankd.gateway.sliced_decoding import SlicedDecoder

TEXT = 'a "quoted" text, with\nlines and \u2028 [brackets] '
LARGE = "x" * 300_000


def body(documents: Any, **more: Any) -> bytes:
    return json.dumps({"query": "q", "documents": documents, "top_n": 3, **more}).encode()


@pytest.mark.parametrize("struct_type", [RerankRequest, SharedBody, VllmBody])
@pytest.mark.parametrize(
    "documents",
    [
        [TEXT * 10] * 2000,
        [f"{number}{LARGE}" for number in range(3)],
        [{"text": TEXT * 10, "fields": {"a": 1}}] * 2000,
        ["short"],
        [],
    ],
    ids=["many", "large", "objects", "one", "none"],
)
async def test_slices_make_the_same_object(struct_type: type[msgspec.Struct], documents: Any) -> None:
    data = body(documents, rank_fields=["a"])
    assert await SlicedDecoder(struct_type).decode(keys_of(data)) == msgspec.json.decode(data, type=struct_type)


@pytest.mark.parametrize(
    "data",
    [
        body([TEXT * 10] * 2000 + [1]),
        body([TEXT * 10] * 2000, top_n="three"),
        body([TEXT * 10] * 2000)[:-1] + b',"query":1}',
        body(["x" * 300_000]).replace(b"xx", b"\xff\xff"),
    ],
    ids=["item", "field", "doubled field", "not UTF-8"],
)
async def test_what_is_not_valid_is_left_to_the_decoder_of_whole_texts(data: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode(data, type=SharedBody)
    assert await SlicedDecoder(SharedBody).decode(keys_of(data)) is None


async def test_the_event_loop_is_yielded_between_slices() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await SlicedDecoder(SharedBody).decode(keys_of(body([TEXT * 10] * 10_000)))
    counting.cancel()
    assert turns >= 10
