"""Renders `server/rerankd/contract/service.py` and `server/rerankd/rpc/servicers.py`: each service, once per side."""

from __future__ import annotations

from scripts.generator.schema import PACKAGE, Method, Schema, SchemaError, Service
from scripts.generator.text import HEADER, docstring, snake_case

_PROTOCOLS = f'''# {HEADER}
"""The services as the transports call them, in contract types.

A service has one protocol for its unary rpcs, which layers above the engine wrap, and one for its streams, which are
built over the first (`rerankd.engine.batch`). Called by many tasks of one event loop. Failures are `ServiceError`s; a
cancelled call stops its work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
'''

_SERVICERS = f'''# {HEADER}
"""The services over gRPC: each rpc decodes into contract types, calls the service and encodes its answer."""

from __future__ import annotations

from typing import Any, Final

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.service import Services
from rerankd.rpc import convert
from rerankd.rpc.behaviour import collecting, streaming, unary
from rerankd.rpc.codec import decoder, encoder
from rerankd.telemetry.server_span import ServerTracing
'''


def render_protocols(schema: Schema) -> str:
    """Render the protocols of all services."""
    protocols = [part for service in schema.services for part in _protocols(service)]
    return "\n\n".join([_PROTOCOLS, *protocols, _all_services(schema)])


def render_servicers(schema: Schema) -> str:
    """Render the gRPC handlers of all services."""
    names = "".join(f'{_constant(service)}: Final = "{PACKAGE}.{service.name}"\n' for service in schema.services)
    listed = "".join(f"{_constant(service)}, " for service in schema.services)
    handlers = "".join(f"_{snake_case(service.name)}_handler(services, tracing)," for service in schema.services)
    all_handlers = (
        "def service_handlers(services: Services, tracing: ServerTracing) -> tuple[grpc.GenericRpcHandler, ...]:\n"
        f'    """Build the handlers that serve every service of `{PACKAGE}`."""\n    return ({handlers})\n'
    )
    top = f"{_SERVICERS}\n{names}SERVICE_NAMES: Final = ({listed})\n"
    return "\n\n".join([top, all_handlers, *map(_handler, schema.services)])


def owner_of(service: Service, method: Method) -> str:
    """Name the member of `Services` that answers an rpc."""
    return snake_case(service.name) + ("" if _is_unary(method) else "_streams")


def _is_unary(method: Method) -> bool:
    return not (method.is_client_streaming or method.is_server_streaming)


def _all_services(schema: Schema) -> str:
    owners = dict.fromkeys(
        (owner_of(service, method), service.name + ("" if _is_unary(method) else "Streams"))
        for service, method in schema.methods()
    )
    members = "".join(f"    {owner}: {protocol}\n" for owner, protocol in owners)
    return f'class Services(NamedTuple):\n    """What the transports serve."""\n\n{members}'


def _protocols(service: Service) -> list[str]:
    unary = [method for method in service.methods if _is_unary(method)]
    streams = [method for method in service.methods if not _is_unary(method)]
    rendered = [_protocol(service.name, service.doc, unary)]
    if streams:
        rendered.append(_protocol(f"{service.name}Streams", f"The streams of `{service.name}`.", streams))
    return rendered


def _protocol(name: str, doc: str, methods: list[Method]) -> str:
    return f"class {name}(Protocol):\n{docstring(doc)}\n" + "\n".join(map(_signature, methods))


def _signature(method: Method) -> str:
    name, request, response = snake_case(method.name), f"messages.{method.request}", f"messages.{method.response}"
    taken = f"requests: AsyncIterator[{request}]" if method.is_client_streaming else f"request: {request}"
    given = f"AsyncIterator[{response}]" if method.is_server_streaming else response
    kind = "def" if method.is_server_streaming else "async def"
    doc = docstring(method.doc, " " * 8)
    return f"    {kind} {name}(self, {taken}, call: CallContext, /) -> {given}:\n{doc}        ...\n"


def _constant(service: Service) -> str:
    return snake_case(service.name).upper()


def _handler(service: Service) -> str:
    methods = "".join(_method(service, method) for method in service.methods)
    return (
        f"def _{snake_case(service.name)}_handler(services: Services, tracing: ServerTracing)"
        " -> grpc.GenericRpcHandler:\n"
        f"    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {{\n{methods}    }}\n"
        f"    return grpc.method_handlers_generic_handler({_constant(service)}, handlers)\n"
    )


def _method(service: Service, method: Method) -> str:
    sides = (method.is_client_streaming, method.is_server_streaming)
    kinds = {
        (False, False): ("unary_unary", "unary"),
        (True, False): ("stream_unary", "collecting"),
        (True, True): ("stream_stream", "streaming"),
    }
    if sides not in kinds:
        raise SchemaError(f"{method.name}: one request answered by a stream is not supported")
    handler, behaviour = kinds[sides]
    return (
        f'        "{method.name}": grpc.{handler}_rpc_method_handler(\n'
        f"            {behaviour}(services.{owner_of(service, method)}.{snake_case(method.name)}, "
        f'f"{{{_constant(service)}}}/{method.name}", tracing),\n'
        f"            decoder(pb.{method.request}, convert.{snake_case(method.request)}_from_proto),\n"
        f"            encoder(convert.{snake_case(method.response)}_to_proto),\n"
        "        ),\n"
    )
