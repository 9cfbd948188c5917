"""A healthy caller: ten small calls a second over HTTP and as many over gRPC, in a process of its own.

It runs until its standard input is closed and then prints latencies in milliseconds and failures as JSON. A latency is
counted from the time at which a call was due, so a blocked server is seen by every call that had to wait for it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import grpc

from rerank.v1 import rerank_service_pb2 as pb

INTERVAL_S = 0.1
TIMEOUT_S = 10.0
METHOD = "/rerank.v1.RerankService/Rerank"
MODEL = "local/bm25"
DOCUMENTS = ("Photosynthesis turns light into sugar", "The train leaves at noon", "Leaves are green")
QUERY = "how do leaves make sugar"
BODY = json.dumps({"model": MODEL, "query": QUERY, "documents": DOCUMENTS}).encode()
MESSAGE = pb.RerankRequest(
    model=MODEL, query=QUERY, documents=[pb.Document(text=text) for text in DOCUMENTS]
).SerializeToString()


@dataclass
class Seen:
    """What one transport's calls met."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class HttpCaller:
    """Calls over a kept connection, and over a new one every tenth time."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._count = 0
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=TIMEOUT_S, source_address=("127.0.0.1", 0))

    def __call__(self) -> None:
        self._count += 1
        if self._count % 10 == 0:
            self._connection.close()
            self._connection = self._connect()
        try:
            self._connection.request("POST", "/v1/rerank", BODY, {"content-type": "application/json"})
            response = self._connection.getresponse()
            body = response.read()
        except Exception:
            self._connection.close()
            self._connection = self._connect()
            raise
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {body[:200]!r}")


def probe(call: Callable[[], None], stop: threading.Event, seen: Seen) -> None:
    """Call every 100 ms until told to stop."""
    due_s = time.monotonic()
    while not stop.wait(max(0.0, due_s - time.monotonic())):
        try:
            call()
        except Exception as error:
            seen.failures.append(f"{type(error).__name__}: {error}"[:300])
        seen.latencies_ms.append((time.monotonic() - due_s) * 1000)
        due_s += INTERVAL_S


def main() -> None:
    """Probe the two addresses of the command line."""
    http_url, grpc_address = sys.argv[1:]
    channel = grpc.insecure_channel(grpc_address)
    rerank: Any = channel.unary_unary(METHOD)
    callers: dict[str, Callable[[], None]] = {
        "http": HttpCaller(http_url),
        "grpc": lambda: rerank(MESSAGE, timeout=TIMEOUT_S) and None,
    }
    for call in callers.values():
        call()
    print("probing", flush=True)
    stop = threading.Event()
    seen = {name: Seen() for name in callers}
    threads = [threading.Thread(target=probe, args=(call, stop, seen[name])) for name, call in callers.items()]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({name: vars(each) for name, each in seen.items()}))


if __name__ == "__main__":
    main()
