"""Server reflection under both of its names.

The package serves `grpc.reflection.v1alpha`; newer clients ask for `grpc.reflection.v1` first, whose messages
are the same on the wire, so one servicer answers both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from rerankd_adapters.grpc_upstream import messages

T = TypeVar("T")

REFLECTION_SERVICES: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class _CombinedPool:
    """The lookups of a `DescriptorPool` that reflection uses: in the default pool, then in that of TEI's services."""

    def FindFileByName(self, name: str) -> FileDescriptor:
        return _find(lambda pool: pool.FindFileByName(name))

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        return _find(lambda pool: pool.FindFileContainingSymbol(symbol))

    def FindMessageTypeByName(self, name: str) -> Descriptor:
        return _find(lambda pool: pool.FindMessageTypeByName(name))

    def FindExtensionByNumber(self, message: Descriptor, number: int) -> FieldDescriptor:
        return _find(lambda pool: pool.FindExtensionByNumber(message, number))

    def FindAllExtensions(self, message: Descriptor) -> list[FieldDescriptor]:
        return _find(lambda pool: pool.FindAllExtensions(message))


def _find(look_up: Callable[[DescriptorPool], T]) -> T:
    try:
        return look_up(Default())
    except KeyError:
        return look_up(messages.pool())


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Add the reflection service to `server`.

    Args:
        services: Full names of the services to list.
        server: Not started yet.
    """
    # The servicer calls the five lookups only; its type asks for the whole class.
    pool = cast(DescriptorPool, _CombinedPool())
    servicer = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME], pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    for name in REFLECTION_SERVICES:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
