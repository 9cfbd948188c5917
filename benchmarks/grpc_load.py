"""Loads a gRPC server; a program of its own that prints one JSON object.

`MARK` in the request is replaced by a number that grows with each call. `unary` keeps `concurrency` calls under way on
connections of four; `batch` keeps as many items under way on one stream. Calls that fail end it with their status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from itertools import count
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.http2_client import CallFailedError, Connection, Stream
from benchmarks.workloads import MARK
from rerank.v1 import rerank_service_pb2 as pb

CALLS_A_CONNECTION: Final = 4
METHODS: Final = {"unary": "/rerank.v1.RerankService/Rerank", "batch": "/rerank.v1.RerankService/BatchRerank"}


class Load:
    """What all connections share: the requests, the time, what was measured.

    Args:
        request: With or without `MARK`.
        first: Number of the first call.
        seconds: No call begins later.
    """

    def __init__(self, request: bytes, first: int, seconds: float) -> None:
        self._parts = request.split(MARK.encode())
        self._numbers = count(first)
        self._over_s = time.perf_counter() + seconds
        self.latencies_s: list[float] = []

    def next_request(self) -> bytes:
        """Make a request that was not sent before."""
        return f"{next(self._numbers):010}".encode().join(self._parts)

    def finish(self, began_s: float) -> bool:
        """Note that a call has ended; return whether another one shall follow."""
        now_s = time.perf_counter()
        self.latencies_s.append(now_s - began_s)
        return now_s < self._over_s


class UnaryCaller:
    """Keeps calls under way on one connection, a stream each.

    `ended` is done when the time is over and the last call has ended; it fails when one has failed.
    """

    def __init__(self, load: Load, at_once: int) -> None:
        self._load = load
        self._at_once = at_once
        self._began_s: dict[int, float] = {}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, connection: Connection) -> None:
        """Make the first calls."""
        self._connection = connection
        connection.on_end = self._end
        for _ in range(self._at_once):
            self._call()

    def _call(self) -> None:
        request = self._load.next_request()
        began_s = time.perf_counter()
        self._began_s[self._connection.open(request, ends=True).number] = began_s

    def _end(self, stream: Stream) -> None:
        if self._load.finish(self._began_s.pop(stream.number)):
            self._call()
        elif not self._began_s and not self.ended.done():
            self.ended.set_result(None)


class BatchCaller:
    """Keeps items of one stream under way; `ended` as with `UnaryCaller`."""

    def __init__(self, load: Load, at_once: int) -> None:
        self._load = load
        self._at_once = at_once
        self._began_s: list[float] = []
        self._under_way = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, connection: Connection) -> None:
        """Open the stream and send the first items."""
        self._connection = connection
        connection.on_message = self._take
        connection.on_end = self._end
        self._stream = connection.open(b"", ends=False)
        for _ in range(self._at_once):
            self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        self._began_s.append(time.perf_counter())
        self._under_way += 1
        self._connection.send(self._stream, request, ends=False)

    def _take(self, _: Stream, message: bytes) -> None:
        response = pb.BatchRerankResponse.FromString(message)
        if not response.HasField("item"):
            return
        if response.item.status.code:
            raise CallFailedError(f"an item failed: {response.item.status.message}")
        self._under_way -= 1
        if self._load.finish(self._began_s[response.item.item_index]):
            self._send()
        elif self._under_way == 0:
            self._connection.send(self._stream, b"", ends=True)

    def _end(self, _: Stream) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    load = Load(arguments.request.read_bytes(), arguments.first, arguments.seconds)
    concurrency = arguments.concurrency
    callers: list[UnaryCaller | BatchCaller] = []
    if arguments.kind == "batch":
        callers.append(BatchCaller(load, concurrency))
    else:
        starts = range(0, concurrency, CALLS_A_CONNECTION)
        callers += [UnaryCaller(load, min(CALLS_A_CONNECTION, concurrency - start)) for start in starts]
    began_s = time.perf_counter()
    for caller in callers:
        await connect(caller, arguments.port, METHODS[arguments.kind])
    await asyncio.gather(*(caller.ended for caller in callers))
    took_s = time.perf_counter() - began_s
    cuts = statistics.quantiles(load.latencies_s, n=100, method="inclusive")
    return {"calls": len(load.latencies_s), "seconds": took_s, "p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3}


async def connect(caller: UnaryCaller | BatchCaller, port: int, path: str) -> None:
    """Open a connection and let a caller begin."""

    def fail(error: Exception) -> None:
        if not caller.ended.done():
            caller.ended.set_exception(error)

    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(path, fail), "127.0.0.1", port)
    caller.begin(connection)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=METHODS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True, help="file with the encoded message")
    parser.add_argument("--first", type=int, required=True, help="number of the first call")
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    try:
        print(json.dumps(uvloop.run(run(parser.parse_args()))))
    except CallFailedError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
