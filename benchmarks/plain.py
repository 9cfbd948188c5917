"""Servers with nothing around them, which print their port and serve until they are killed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import uvicorn


async def serve_method(service: str, name: str, handler: grpc.RpcMethodHandler[Any, Any]) -> None:
    """Serve one gRPC method."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def read_body(receive: Any) -> None:
    """Read a request's body to its end."""
    while (await receive()).get("more_body", False):
        pass


async def send_json(send: Any, body: bytes) -> None:
    """Answer 200 with a body of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve_asgi(app: Any) -> None:
    """Serve an ASGI application."""
    config = uvicorn.Config(app, port=0, http="httptools", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving
