"""The stack's own ceilings: the same messages through a bare grpc.aio server and a bare uvicorn app.

Run as `python benchmarks/ceilings.py grpc|http|collector`; prints the port, then serves until it is killed. The
collector takes whatever is sent by OTLP and forgets it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvicorn
import uvloop

from rerank.v1 import rerank_service_pb2 as pb

RESULTS = [pb.RerankResult(index=index, relevance_score=0.5) for index in range(4)]
RESPONSE = pb.RerankResponse(id="0" * 32, results=RESULTS, model="local/bm25")
BODY = b'{"results":[' + b",".join([b'{"index":0,"relevance_score":0.5}'] * 4) + b"]}"


async def echo(_: pb.RerankRequest, __: Any) -> pb.RerankResponse:
    return RESPONSE


async def serve_grpc() -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        echo,
        pb.RerankRequest.FromString,
        pb.RerankResponse.SerializeToString,
    )
    server = grpc.aio.server()
    handlers = {"Rerank": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("rerank.v1.RerankService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def serve_collector() -> None:
    async def forget(_: bytes, __: Any) -> bytes:
        return b""

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Export": grpc.unary_unary_rpc_method_handler(forget)}
    server = grpc.aio.server()
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def serve_http() -> None:
    config = uvicorn.Config(answer, port=0, http="httptools", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    uvloop.run({"grpc": serve_grpc, "http": serve_http, "collector": serve_collector}[sys.argv[1]]())
