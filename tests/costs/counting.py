"""A server that counts, the provider behind it, and calls of it over connections that stay open."""

from __future__ import annotations

import http.client
import json
import queue
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.server import ServerProcess
from tests.support.transports import MAX_MESSAGE_BYTES, METHOD
from tests.support.upstream import Upstream

CHUNK = 100
"""Documents in one call of the provider."""
_BATCH_METHOD = "/rerank.v1.RerankService/BatchRerank"
_TIMEOUT_S = 120.0


class UnavailableError(Exception):
    """Something cannot be counted on this machine; the message says why."""


def provider() -> Upstream:
    """Make a provider that gives every document the same score, in request order."""
    return Upstream(_answer)


def _answer(request: Received) -> ScriptedResponse:
    if not request.body:
        return ScriptedResponse.of_json({"data": [{"id": "ranker"}]})
    results = [{"index": index, "relevance_score": 0.5} for index in range(len(request.json()["documents"]))]
    return ScriptedResponse.of_json({"model": "ranker", "results": results, "usage": {"total_tokens": 8}})


def settings(upstream: Upstream) -> dict[str, str]:
    """Return the variables of a server with the provider behind it, and one thread for embedded models."""
    models = {"*": {"max_documents": CHUNK, "scoring": "pointwise"}}
    return {
        "RERANKD_PROVIDERS": json.dumps({"vllm": {"base_url": f"{upstream.url}/v1", "models": models}}),
        "RERANKD_LOCAL": json.dumps({"threads": 1, "static_table": False}),
        "PYTHONHASHSEED": "0",
    }


class Callers:
    """Connections to a server, one for each transport. For one thread, one call at a time."""

    def __init__(self, server: ServerProcess) -> None:
        sizes = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
        options = [(name, MAX_MESSAGE_BYTES) for name in sizes]
        self._channel = grpc.insecure_channel(server.grpc_address, options=options)
        self._unary: Any = self._channel.unary_unary(METHOD)
        self._http_url = urlsplit(server.http_url)
        self._http = self._connect()
        self._streams: list[BatchStream] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        self._http.close()
        self._channel.close()

    def grpc(self, request: pb.RerankRequest, *metadata: tuple[str, str]) -> pb.RerankResponse:
        """Call by gRPC."""
        answer = self._unary(request.SerializeToString(), timeout=_TIMEOUT_S, metadata=metadata)
        return pb.RerankResponse.FromString(answer)

    def http(self, request: Mapping[str, Any], *headers: tuple[str, str]) -> dict[str, Any]:
        """Call by HTTP."""
        body = json.dumps(request).encode()
        answer: dict[str, Any] = json.loads(self._exchange("POST", "/v1/rerank", body, *headers))
        return answer

    def page(self, path: str) -> str:
        """Get a page of the HTTP service."""
        return self._exchange("GET", path, b"").decode()

    def _connect(self) -> socket.socket:
        return socket.create_connection((self._http_url.hostname, self._http_url.port), timeout=_TIMEOUT_S)

    def _exchange(self, method: str, path: str, body: bytes, *headers: tuple[str, str]) -> bytes:
        """Exchange a request for an answer; once more where the connection was left idle for too long."""
        usual = (("host", "server"), ("content-type", "application/json"), ("content-length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*usual, *headers))]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            return self._send(method, request)
        except ConnectionError:
            self._http.close()
            self._http = self._connect()
            return self._send(method, request)

    def _send(self, method: str, request: bytes) -> bytes:
        """Send head and body in one piece, which the standard library's client does not."""
        self._http.sendall(request)
        response = http.client.HTTPResponse(self._http, method=method)
        response.begin()
        answer = response.read()
        response.close()
        assert response.status == 200, answer
        return answer

    def stream(self) -> BatchStream:
        """Open a batch stream, which is closed with the connections."""
        self._streams.append(BatchStream(self._channel.stream_stream(_BATCH_METHOD)))
        return self._streams[-1]


class BatchStream:
    """A batch stream on which one item at a time is sent and answered."""

    def __init__(self, method: Any) -> None:
        self._items: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers = method(iter(self._items.get, None))

    def item(self, request: pb.RerankRequest) -> pb.BatchItemResult:
        """Send an item and return its result."""
        message = pb.BatchRerankRequest(item=pb.BatchItem(item_id="x", request=request))
        self._items.put(message.SerializeToString())
        while True:
            answer = pb.BatchRerankResponse.FromString(next(self._answers))
            if answer.HasField("item"):
                return answer.item

    def close(self) -> None:
        """End the stream and read what is left of it."""
        self._items.put(None)
        for _ in self._answers:
            pass


class CountedServer:
    """A server that counts what it does between `start` and `stop`, and connections to it.

    Args:
        kind: Of Python, what it executes or the memory it takes.
        variables: Environment of the server.
    """

    def __init__(self, kind: Literal["work", "memory"], variables: Mapping[str, str]) -> None:
        self.process = ServerProcess(program=("tests.costs.counted_server", kind), environment=variables, preloads=True)
        self.callers = Callers(self.process)
        self._orders = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.callers.__exit__()
        assert self.process.stop() == 0

    def count(self, call: Callable[[], object]) -> dict[str, Any]:
        """Return what the server counts while `call` runs."""
        self._order("start")
        call()
        return self._order("stop")

    def functions(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return instructions and calls by function, as last counted."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "functions"
            self._order(str(file))
            instructions, calls = json.loads(file.read_text())
        return instructions, calls

    def _order(self, order: str) -> dict[str, Any]:
        stdin = self.process.process.stdin
        assert stdin is not None
        stdin.write(f"{order}\n")
        stdin.flush()
        said = self.process.wait_for_log("counted", number=self._orders, timeout_s=_TIMEOUT_S)
        self._orders += 1
        return said
