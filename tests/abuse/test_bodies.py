"""Bodies that cost more than they weigh: counts, sizes, codings."""

from __future__ import annotations

import contextlib
import gzip
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.abuse.drill import drill
from tests.abuse.raw import Outcome, answer_of, at_once, chunk, connect, exchange, head, post, post_gzip
from tests.support.server import ServerProcess

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MB = 2**20
GOOD_START = b'{"model":"local/bm25","query":"q","documents":'
EMPTY_MEMBER = gzip.compress(b"")


def _statuses(outcomes: list[Outcome]) -> dict[int, int]:
    return dict(Counter(outcome.status for outcome in outcomes))


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerankd/v1/rerank", "/voyage/v1/rerank"])
def test_two_million_documents(attacked: ServerProcess, path: str) -> None:
    body = gzip.compress(GOOD_START + b"[" + b",".join([b'{"z":1}'] * 2_000_000) + b"]}")

    def attack() -> Outcome:
        began_s = time.monotonic()
        outcome = post(attacked.http_url, body, "content-encoding: gzip", path=path)
        assert time.monotonic() - began_s < 2
        return outcome

    seen = drill(
        f"2,000,000 documents, 23 KB, {path}", attacked, attack, before="loop blocked 10.7 s, 651 MB, then 400"
    )
    seen.check()
    assert seen.result.status == 400
    assert "10000" in seen.result.message() or "expands" in seen.result.message()


@pytest.mark.parametrize("documents", [b'{"z":1}', b'""', b"[]", b"1"])
def test_millions_of_documents_uncompressed(attacked: ServerProcess, documents: bytes) -> None:
    body = GOOD_START + b"[" + b",".join([documents] * 2_000_000) + b"]}"
    seen = drill(f"2,000,000 documents {documents!r} uncompressed", attacked, lambda: post(attacked.http_url, body))
    seen.check()
    assert (seen.result.status, "documents" in seen.result.message()) == (400, True)


def test_two_million_keys(attacked: ServerProcess) -> None:
    keys = b",".join(b'"key%d":1' % number for number in range(2_000_000))
    seen = drill(
        "2,000,000 unknown keys",
        attacked,
        lambda: post(attacked.http_url, GOOD_START + b'["d"],' + keys + b"}"),
        before="6.4 s, answered 200",
    )
    seen.check()
    assert (seen.result.status, "100 keys" in seen.result.message()) == (400, True)


def test_ten_thousand_keys_often(attacked: ServerProcess) -> None:
    keys = b",".join(b'"querx%d":1' % number for number in range(10_000))
    body = b"{" + keys + b"}"
    seen = drill("10,000 unknown keys, 20 times", attacked, lambda: [post(attacked.http_url, body) for _ in range(20)])
    seen.check()
    assert _statuses(seen.result) == {400: 20}


@pytest.mark.parametrize("value", [b"[]", b'{"a":{}}', b'""'])
def test_millions_of_values_in_one_document(attacked: ServerProcess, value: bytes) -> None:
    body = GOOD_START + b'[{"fields":{"a":[' + b",".join([value] * 5_000_000) + b"]}}]}"
    seen = drill(f"5,000,000 times {value!r} in a document", attacked, lambda: post(attacked.http_url, body))
    seen.check()
    assert seen.result.status == 413


def test_sixteen_bombs_of_spaces(attacked: ServerProcess) -> None:
    bomb = b" " * (63 * MB) + GOOD_START + b'["d"]}'

    def attack() -> list[Outcome]:
        return at_once(16, lambda _: post(attacked.http_url, compressed, "content-encoding: gzip"))

    compressed = gzip.compress(bomb)
    seen = drill("16 bodies of 64 KB that are 63 MB of spaces", attacked, attack, before="peak 1.2 GB, p99 20 s")
    seen.check()
    assert set(_statuses(seen.result)) <= {400, 429}


def _zeros(size: int) -> bytes:
    """Compress that many zero bytes, a megabyte at a time."""
    coder = zstd.ZstdCompressor()
    return b"".join([*(coder.compress(bytes(MB)) for _ in range(size // MB)), coder.flush()])


def test_a_gigabyte_in_a_small_zstd_frame(attacked: ServerProcess) -> None:
    bomb = _zeros(1024 * MB)
    assert len(bomb) < MB

    def attack() -> list[Outcome]:
        return at_once(8, lambda _: post(attacked.http_url, bomb, "content-encoding: zstd"))

    seen = drill("8 bodies of 64 KB that are 1 GB in zstd", attacked, attack)
    seen.check()
    assert set(_statuses(seen.result)) <= {400, 413, 429}


@pytest.mark.parametrize("is_length_told", [True, False])
def test_a_body_of_a_gigabyte(attacked: ServerProcess, is_length_told: bool) -> None:
    """With its length it is refused by its head; without, once it is larger than the limit of 64 MB."""
    piece = b" " * MB
    pieces = 1024

    def sent() -> Iterator[bytes]:
        yield head(body_bytes=pieces * MB if is_length_told else None)
        yield from (piece if is_length_told else chunk(piece) for _ in range(pieces))

    name = f"4 bodies of 1 GB {'with their' if is_length_told else 'without a'} length"
    seen = drill(name, attacked, lambda: at_once(4, lambda _: exchange(attacked.http_url, sent())))
    seen.check()
    assert set(_statuses(seen.result)) <= {413, 429, 0}
    assert {413} <= set(_statuses(seen.result))
    assert max(outcome.sent_bytes for outcome in seen.result) < (20 if is_length_told else 80) * MB


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"fields":', b"}")])
def test_a_hundred_thousand_levels_of_json(attacked: ServerProcess, opening: bytes, closing: bytes) -> None:
    depth = 100_000
    body = GOOD_START + b"[" + opening * depth + b"1" + closing * depth + b"]}"

    def attack() -> list[Outcome]:
        return [*at_once(4, lambda _: post(attacked.http_url, body)), post_gzip(attacked.http_url, body)]

    seen = drill(f"100,000 levels of {opening.decode()}", attacked, attack)
    seen.check()
    assert _statuses(seen.result) == {400: 5}


def test_sixteen_large_bodies_at_once(attacked: ServerProcess) -> None:
    body = b" " * (60 * MB) + GOOD_START + b'["d"]}'
    seen = drill("16 bodies of 60 MB at once", attacked, lambda: at_once(16, lambda _: post(attacked.http_url, body)))
    seen.check()
    assert set(_statuses([outcome for outcome in seen.result if outcome])) <= {200, 429, 0}
    refused = [outcome for outcome in seen.result if outcome and outcome.status == 429]
    assert refused
    assert "in flight" in refused[0].message()


def test_a_stream_of_empty_gzip_members(attacked: ServerProcess) -> None:
    piece = chunk(EMPTY_MEMBER * 3_000)

    def pieces() -> Iterator[bytes]:
        yield head("content-encoding: gzip")
        for _ in range(1_000):
            yield piece

    seen = drill(
        "gzip members without content",
        attacked,
        lambda: at_once(4, lambda _: _send(attacked, pieces())),
        before="p50 4 s, never stopped",
    )
    seen.check()
    assert _statuses(seen.result) == {400: 4}
    assert max(outcome.sent_bytes for outcome in seen.result) < 10 * MB


def _send(server: ServerProcess, pieces: Iterator[bytes]) -> Outcome:
    return exchange(server.http_url, pieces)


def test_empty_blocks_of_one_gzip_member(attacked: ServerProcess) -> None:
    header = gzip.compress(b"")[:10]
    stored = b"\x00\x00\x00\xff\xff" * 12_000

    def pieces() -> Iterator[bytes]:
        yield head("content-encoding: gzip")
        yield chunk(header)
        for _ in range(1_000):
            yield chunk(stored)

    seen = drill("gzip blocks without content", attacked, lambda: _send(attacked, pieces()))
    seen.check()
    assert seen.result.status == 400


def test_connections_that_stop_before_the_end(attacked: ServerProcess) -> None:
    """Hold 20 bodies of 64 MB until the server gives them up, after 30 s and a second for each 64 KiB."""
    piece = b" " * (63 * MB)
    closed: list[Outcome] = []

    def stall(_: int) -> None:
        with connect(attacked.http_url) as connection:
            connection.sendall(head(body_bytes=64 * MB))
            with contextlib.suppress(OSError):
                connection.sendall(piece)
            closed.append(answer_of(connection))

    def attack() -> dict[int, int]:
        threads = [threading.Thread(target=stall, args=(number,), daemon=True) for number in range(20)]
        for thread in threads:
            thread.start()
        give_up_s = time.monotonic() + 15
        while len(closed) < 18 and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return _statuses(list(closed))

    seen = drill("20 bodies that stop 1 MB before their end", attacked, attack, before="1.4 GB held, never closed")
    seen.check()
    assert seen.result[429] >= 18


def test_a_body_that_dribbles(attacked: ServerProcess) -> None:
    def pieces() -> Iterator[bytes]:
        yield head(body_bytes=10_000)
        for _ in range(1_000):
            yield b" "
            time.sleep(0.05)

    seen = drill(
        "200 bodies that dribble",
        attacked,
        lambda: at_once(200, lambda _: _send(attacked, pieces())),
    )
    seen.check()
    assert _statuses(seen.result) == {408: 200}
    assert 28 < seen.attack_s < 40


def test_a_good_compressed_call_is_answered(attacked: ServerProcess) -> None:
    outcome = post_gzip(attacked.http_url, GOOD_START + b'["a text"]}')
    assert outcome.status == 200
