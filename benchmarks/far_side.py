"""What a server under measurement talks to besides the provider.

Run as `python -m benchmarks.far_side collector` for a collector that takes what is sent by OTLP and forgets it, or
`python -m benchmarks.far_side slow-provider SECONDS` for one that takes its time to answer 4 documents; prints the
port, then serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvloop

from benchmarks.plain import read_body, send_json, serve_asgi, serve_method
from benchmarks.upstream import answer


async def serve_collector() -> None:
    async def forget(_: bytes, __: Any) -> bytes:
        return b""

    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    await serve_method(service, "Export", grpc.unary_unary_rpc_method_handler(forget))


async def serve_slowly(delay_s: float) -> None:
    body = answer(4)

    async def reply(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await asyncio.sleep(delay_s)
        await send_json(send, body)

    await serve_asgi(reply)


if __name__ == "__main__":
    uvloop.run(serve_collector() if sys.argv[1] == "collector" else serve_slowly(float(sys.argv[2])))
