"""Messages of the providers' services, made from `upstream.binpb` in a descriptor pool of their own.

A pool of our own keeps them apart from the packages that providers publish for the same services, which
register the same names in the default pool. `scripts/generate_upstream.py` makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from rerankd_adapters.wire import bad_response

DESCRIPTORS: Final = "upstream.binpb"


@dataclass(frozen=True, slots=True)
class UpstreamMethod:
    """One method of a provider's service."""

    path: str
    """`/package.Service/Method`."""
    request: Any
    """Message class of (each) request."""
    response: Any
    """Message class of the response."""
    streams_requests: bool = False

    def decode(self, body: bytes) -> Any:
        """Read a response, whatever bytes it holds.

        Raises:
            AdapterError: `BAD_RESPONSE` when they are not such a message.
        """
        try:
            return self.response.FromString(body)
        except DecodeError:
            name = self.response.DESCRIPTOR.full_name
            raise bad_response(f"{len(body)} bytes that are no {name}") from None


@cache
def find_method(service: str, name: str) -> UpstreamMethod:
    """Return a method by the full name of its service."""
    method = pool().FindServiceByName(service).methods_by_name[name]
    return UpstreamMethod(
        path=f"/{service}/{name}",
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        streams_requests=bool(method.client_streaming),
    )


@cache
def pool() -> DescriptorPool:
    """Return the pool that holds the providers' services and nothing else."""
    made = DescriptorPool()
    described = FileDescriptorSet.FromString(files(__package__).joinpath(DESCRIPTORS).read_bytes())
    for file in described.file:
        made.AddSerializedFile(file.SerializeToString())
    return made
