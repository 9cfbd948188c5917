"""Heads without end, connections that do nothing, and too many of either."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.abuse.drill import MOST_RSS_MB, attacked_server, drill
from tests.abuse.limited import OPEN_FILES
from tests.abuse.probe import BODY
from tests.abuse.raw import Outcome, answer_of, at_once, connect, exchange, head
from tests.support.server import ServerProcess

KB64 = b"x" * 65536
CALL = head(body_bytes=len(BODY)) + BODY


def _endless(start: bytes, piece: bytes = KB64, most: int = 1000) -> Iterator[bytes]:
    yield start
    for _ in range(most):
        yield piece


@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (b"POST /v1/rerank HTTP/1.1\r\nx-long: ", KB64, 431),
        (b"POST /v1/rerank HTTP/1.1\r\n", b"a: b\r\n" * 1000, 431),
        (b"GET /", KB64, 414),
        (b"", b"x" * 65536, 400),
    ],
    ids=["value", "headers", "url", "method"],
)
def test_heads_without_end(attacked: ServerProcess, start: bytes, piece: bytes, status: int) -> None:
    def attack() -> list[Outcome]:
        return at_once(8, lambda _: exchange(attacked.http_url, _endless(start, piece)))

    seen = drill(f"heads without end, {start[:30]!r}", attacked, attack, before="64 MB: p99 14 s, answered 200")
    seen.check()
    for outcome in seen.result:
        assert outcome.status in (status, 0), outcome  # 0: the answer was lost to the reset of a client that sends on
        assert outcome.sent_bytes < 5_000_000
    assert status in {outcome.status for outcome in seen.result}
    lines = [entry for entry in attacked.log if entry.get("status") == status and "refused" in entry]
    assert 1 <= len(lines) <= 1 + seen.attack_s // 10
    assert not [entry for entry in attacked.log if "Invalid HTTP request" in entry["event"]]


@pytest.mark.parametrize("end", [b"0\r\nx-long: ", b"1;extension="], ids=["trailer", "chunk extension"])
def test_bodies_with_heads_without_end(attacked: ServerProcess, end: bytes) -> None:
    def attack() -> list[Outcome]:
        return at_once(8, lambda _: exchange(attacked.http_url, _endless(head() + end)))

    seen = drill(f"chunked bodies without end, {end!r}", attacked, attack)
    seen.check()
    assert {outcome.status for outcome in seen.result} == {0}
    assert max(outcome.sent_bytes for outcome in seen.result) < 5_000_000


def test_heads_that_dribble(attacked: ServerProcess) -> None:
    def dribble(_: int) -> Outcome:
        def pieces() -> Iterator[bytes]:
            yield b"POST /v1/rerank HTTP/1.1\r\n"
            for number in range(60):
                time.sleep(0.5)
                yield b"x-%d: y\r\n" % number

        return exchange(attacked.http_url, pieces())

    seen = drill("200 heads that dribble", attacked, lambda: at_once(200, dribble), before="never closed")
    seen.check()
    assert Counter(outcome.status for outcome in seen.result) == {408: 200}
    assert 18 < seen.attack_s < 30


def _open(server: ServerProcess, count: int, source: str) -> list[socket.socket]:
    opened = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            opened.append(connect(server.http_url, source))
    return opened


def test_thousands_of_idle_connections(attacked: ServerProcess) -> None:
    """Each is refused at the limit of its address, or closed when no head has come."""

    def attack() -> dict[str, int]:
        opened = _open(attacked, 2500, "127.0.0.2")
        refused = sum(answer_of(each).status == 429 for each in opened[2048:])
        give_up_s = time.monotonic() + 30
        while time.monotonic() < give_up_s:
            open_still = [each for each in opened[:2048] if not _is_closed(each)]
            if not open_still:
                break
            time.sleep(0.5)
        for each in opened:
            each.close()
        return {"refused": refused, "still open": len(open_still)}

    seen = drill("2,500 idle connections of one address", attacked, attack, before="never closed")
    seen.check()
    assert seen.result["refused"] > 400
    assert seen.result["still open"] == 0
    attacked.wait_for_log("connections refused", limit="server.http.max_connections_per_address")
    scraped = _get(attacked, "/metrics").decode()
    assert 'rerankd_http_refused_connections_total{limit="max_connections_per_address"}' in scraped


def _is_closed(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _get(server: ServerProcess, path: str) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=20)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def test_open_files_run_out() -> None:
    server = attacked_server(environment={OPEN_FILES: "128"})
    try:
        room = server.wait_for_log("connections limited by open files")["max_connections"]

        def attack() -> Counter[int]:
            opened = _open(server, 300, "127.0.0.2")
            time.sleep(2)
            found = Counter(answer_of(each).status for each in opened if _is_closed(each))
            for each in opened:
                each.close()
            return found

        seen = drill("300 connections with 128 open files", server, attack, before="every new call fails, no log line")
        assert 20 <= room < 100
        assert seen.rss_mb < MOST_RSS_MB
        assert seen.result[503] >= 300 - room
        server.wait_for_log("connections refused", limit="server.http.max_connections")
        assert [failure for failure in seen.failures if "HTTP 503" not in failure] == []
        assert max(seen.http_p99_ms, seen.grpc_p99_ms) < 1000
        again = drill("after they are gone", server, lambda: None)
        again.check()
    finally:
        assert server.stop() == 0


def test_pipelined_requests_whose_answers_nobody_reads(attacked: ServerProcess) -> None:
    requests = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 10_000

    def pipeline(_: int) -> int:
        sent = 0
        with connect(attacked.http_url) as connection:
            connection.settimeout(3)
            with contextlib.suppress(OSError):
                for _ in range(17):
                    connection.sendall(requests)
                    sent += len(requests)
        return sent

    seen = drill("170,000 pipelined requests", attacked, lambda: at_once(4, pipeline), before="p99 3.9 s")
    seen.check()
    assert max(seen.result) < 17 * len(requests)


def test_a_few_pipelined_requests_are_answered(attacked: ServerProcess) -> None:
    with connect(attacked.http_url) as connection:
        connection.sendall(CALL * 50)
        received = b""
        while received.count(b'"results"') < 50:
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200") == 50


def test_an_idle_connection_is_kept(attacked: ServerProcess) -> None:
    with connect(attacked.http_url) as connection:
        connection.sendall(CALL)
        assert answer_of(connection).status == 200
        time.sleep(22)  # longer than a head may take
        connection.sendall(CALL)
        assert answer_of(connection).status == 200
