"""The stack's own ceilings: servers that do nothing but answer, with or without one call to a provider first.

Run as `python -m benchmarks.ceilings grpc|http [URL]`; prints the port, then serves until it is killed. With a URL, a
constant request is sent there before each answer, by the transport that the service uses.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import grpc
import uvloop

from benchmarks.plain import read_body, send_json, serve_asgi, serve_method
from benchmarks.workloads import known
from rerank.v1 import rerank_service_pb2 as pb
from rerankd.http.transport_factory import open_transport
from rerankd_adapters.base import HttpRequest

TIMEOUT_S: Final = 30.0
RESULTS: Final = [pb.RerankResult(index=index, relevance_score=0.5) for index in range(4)]
RESPONSE: Final = pb.RerankResponse(id="0" * 32, results=RESULTS, model="local/bm25")
BODY: Final = b'{"results":[' + b",".join([b'{"index":0,"relevance_score":0.5}'] * 4) + b"]}"


class Provider:
    """Where each answer waits for a call first, if anywhere."""

    def __init__(self, url: str | None) -> None:
        self._transport = open_transport()
        body, headers = known(4).json_body("rerank-v3.5"), {"content-type": "application/json"}
        self._request = HttpRequest(url=url, headers=headers, body=body) if url else None

    async def ask(self) -> None:
        """Call it and read the whole answer."""
        if self._request is not None:
            response = await self._transport.send(self._request, TIMEOUT_S)
            assert response.status == 200, response.status


async def serve_grpc(provider: Provider) -> None:
    async def answer(_: pb.RerankRequest, __: Any) -> pb.RerankResponse:
        await provider.ask()
        return RESPONSE

    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        pb.RerankRequest.FromString,
        pb.RerankResponse.SerializeToString,
    )
    await serve_method("rerank.v1.RerankService", "Rerank", handler)


async def serve_http(provider: Provider) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await provider.ask()
        await send_json(send, BODY)

    await serve_asgi(answer)


async def main() -> None:
    provider = Provider(sys.argv[2] if len(sys.argv) > 2 else None)
    await (serve_grpc if sys.argv[1] == "grpc" else serve_http)(provider)


if __name__ == "__main__":
    uvloop.run(main())
