"""Server reflection under both of its names.

The package serves `grpc.reflection.v1alpha`; newer clients ask for `grpc.reflection.v1` first, whose messages
are the same on the wire, so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from rerankd_adapters.grpc_upstream import messages

REFLECTION_SERVICES: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class _EitherPool:
    """Finds in the default pool what is there, and TEI's services in the one that keeps them apart from it."""

    def __init__(self) -> None:
        self._pools = (descriptor_pool.Default(), messages.pool())

    def __getattr__(self, name: str) -> Any:
        def find(*arguments: Any) -> Any:
            ours, others = (getattr(pool, name) for pool in self._pools)
            try:
                return ours(*arguments)
            except KeyError:
                return others(*arguments)

        return find


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Serve reflection that lists `services` and itself."""
    pool: Any = _EitherPool()
    servicer = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME], pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    for name in REFLECTION_SERVICES:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
