"""Message classes of the providers' services, created from `upstream.binpb` in a separate descriptor pool.

Packages that providers publish for the same services register the same names in the default pool.
`scripts/generate_upstream.py` generates the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from rerankd_adapters.wire import bad_response

DESCRIPTORS: Final = "upstream.binpb"

DynamicMessage: TypeAlias = Any
"""An instance of a message class that is created at run time; it has no static type."""
MessageClass: TypeAlias = Any
"""A message class that is created at run time; it has no static type."""


@dataclass(frozen=True, slots=True)
class UpstreamMethod:
    """One method of a provider's service."""

    path: str
    """`/package.Service/Method`."""
    request: MessageClass
    """Message class of the request, or of each message of a request stream."""
    response: MessageClass
    """Message class of the response."""
    streams_requests: bool = False

    def decode(self, body: bytes) -> DynamicMessage:
        """Decode a response.

        Raises:
            AdapterError: `BAD_RESPONSE` when the bytes are not such a message.
        """
        try:
            return self.response.FromString(body)
        except DecodeError:
            name = self.response.DESCRIPTOR.full_name
            raise bad_response(f"{len(body)} bytes that are no {name}") from None


@cache
def find_method(service: str, name: str) -> UpstreamMethod:
    """Return a method of a service, by full service name and method name."""
    method = pool().FindServiceByName(service).methods_by_name[name]
    return UpstreamMethod(
        path=f"/{service}/{name}",
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        streams_requests=bool(method.client_streaming),
    )


@cache
def pool() -> DescriptorPool:
    """Return the descriptor pool of the providers' services."""
    made = DescriptorPool()
    described = FileDescriptorSet.FromString(files(__package__).joinpath(DESCRIPTORS).read_bytes())
    for file in described.file:
        made.AddSerializedFile(file.SerializeToString())
    return made
