"""Any bytes, cut anywhere, give a response or an `AdapterError`, and always the same one."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.http.http1_response import MAX_HEAD_BYTES, ResponseReader
from rerankd_adapters.base import AdapterError, HttpResponse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES = 5000
TEXT = b'{"results": [{"index": 0, "relevance_score": 0.5}]}' * 20


def chunked(data: bytes, size: int) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nx-trailer: 1\r\n\r\n"


def coded(coding: str, data: bytes) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n".encode() + b"content-length: %d\r\n\r\n" % len(data) + data
    )


LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
RESPONSES = [
    LENGTH % (len(TEXT), TEXT),
    LENGTH % (0, b""),
    LENGTH % (MAX_BYTES + 1, b""),
    b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH % (len(TEXT), TEXT),
    CHUNKS + chunked(TEXT, 7),
    CHUNKS + chunked(bytes(MAX_BYTES + 1), 999),
    b"HTTP/1.0 200 OK\r\nx-a: 1\r\nX-A: 2\r\n\r\n" + TEXT,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    coded("gzip", gzip.compress(TEXT)),
    coded("gzip", gzip.compress(TEXT)[:-4]),
    coded("gzip", gzip.compress(bytes(100_000))),
    coded("zstd", zstd.compress(TEXT) + zstd.compress(b" ")),
    coded("zstd", b"not zstd"),
    b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
]


def read(pieces: Iterable[bytes]) -> HttpResponse | str | None:
    """Read as a connection does: what came of it, the response, an error's kind, or nothing whole."""
    reader = ResponseReader(MAX_BYTES, is_head=False)
    try:
        for piece in pieces:
            if reader.feed(piece):
                return reader.response()
        return reader.response() if reader.end() else None
    except AdapterError as error:
        return error.kind.name
    finally:
        reader.close()


def told(outcome: HttpResponse | str | None) -> object:
    return (outcome.status, outcome.headers, outcome.body) if isinstance(outcome, HttpResponse) else outcome


@pytest.mark.parametrize("data", RESPONSES, ids=range(len(RESPONSES)))
def test_cuts_make_no_difference(data: bytes) -> None:
    expected = told(read([data]))
    assert expected is not None

    @given(cuts=st.lists(st.integers(0, len(data)), max_size=30))
    def check(cuts: list[int]) -> None:
        ends = [*sorted(cuts), len(data)]
        pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        assert told(read(pieces)) == expected

    check()


@pytest.mark.parametrize("data", [data for data in RESPONSES if len(data) < 3000])
def test_byte_by_byte(data: bytes) -> None:
    assert told(read(data[place : place + 1] for place in range(len(data)))) == told(read([data]))


@given(st.lists(st.binary(max_size=300)))
def test_any_bytes(pieces: list[bytes]) -> None:
    read(pieces)


@given(st.sampled_from(RESPONSES[:9]), st.data())
def test_almost_right_bytes(data: bytes, draw: st.DataObject) -> None:
    """A good response with some bytes, anywhere in it, replaced by others."""
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, min(start + 40, len(data))))
    read([data[:start], draw.draw(st.binary(max_size=40)), data[end:]])


def test_large_bodies_are_joined_once() -> None:
    body = bytes(1_000_000)
    reader = ResponseReader(2_000_000, is_head=False)
    assert reader.feed(LENGTH % (len(body), body))
    assert reader.response().body is reader.response().body
