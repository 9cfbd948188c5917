"""Renders `server/rerankd/contract/service.py` and `server/rerankd/rpc/servicers.py`: each service, once per side."""

from __future__ import annotations

from typing import Final

from scripts.generator.contract import messages_module
from scripts.generator.convert import convert_module
from scripts.generator.schema import PACKAGE, Method, Schema, SchemaError, Service
from scripts.generator.text import HEADER, docstring, snake_case

_PROTOCOLS = f'''# {HEADER}
"""The services as the transports call them, in contract types.

A service has one protocol for its unary rpcs, which layers above the engine wrap, and one for its streams, which are
built over the first (`rerankd.engine.batch`). Called by many tasks of one event loop. Failures are `ServiceError`s; a
cancelled call stops its work.

Services other than the rerank service stand behind a `Gate`, which checks the caller and says what answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

%sfrom rerankd.contract.call_context import CallContext
from rerankd.contract.gate import Gate, not_opened
'''

_SERVICERS = f'''# {HEADER}
"""The services over gRPC: each rpc decodes into contract types, calls the service and encodes its answer."""

from __future__ import annotations

from typing import Any, Final

import grpc

%sfrom rerankd.contract.service import Services
from rerankd.rpc.behaviour import collecting, streaming, unary
from rerankd.rpc.codec import decoder, encoder
from rerankd.rpc.large_messages import LargeMessages
from rerankd.telemetry.calls.server_span import ServerTracing
'''
_UNGATED: Final = "RerankService"
"""Its wrappers are written by hand: they look at models and limits, and its calls are many."""


def render_protocols(schema: Schema) -> str:
    """Render the protocols of all services."""
    imports = "".join(f"from rerankd.contract import {messages_module(file)}\n" for file in schema.files())
    protocols = [part for service in schema.services for part in _protocols(service, schema)]
    gated = [_gated(service, schema) for service in schema.services if service.name != _UNGATED]
    return "\n\n".join([_PROTOCOLS % imports, *protocols, *gated, _all_services(schema)])


def render_servicers(schema: Schema) -> str:
    """Render the gRPC handlers of all services."""
    names = "".join(f'{_constant(service)}: Final = "{PACKAGE}.{service.name}"\n' for service in schema.services)
    listed = "".join(f"{_constant(service)}, " for service in schema.services)
    handlers = "".join(f"_{snake_case(service.name)}_handler(services, tracing, large)," for service in schema.services)
    all_handlers = (
        "def service_handlers(\n    services: Services, tracing: ServerTracing, large: LargeMessages\n"
        ") -> tuple[grpc.GenericRpcHandler, ...]:\n"
        f'    """Build the handlers that serve every service of `{PACKAGE}`; large messages take turns."""\n'
        f"    return ({handlers})\n"
    )
    imports = "".join(
        f"from rerank.v1 import {file.stem}_pb2\nfrom rerankd.rpc import {convert_module(file)}\n"
        for file in schema.files()
    )
    top = f"{_SERVICERS % imports}\n{names}SERVICE_NAMES: Final = ({listed})\n"
    return "\n\n".join([top, all_handlers, *(_handler(service, schema) for service in schema.services)])


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
    gated = {snake_case(service.name): service.name for service in schema.services if service.name != _UNGATED}
    members = "".join(
        f"    {owner}: {protocol}" + (f" = Gated{gated[owner]}(not_opened)\n" if owner in gated else "\n")
        for owner, protocol in owners
    )
    return f'class Services(NamedTuple):\n    """What the transports serve."""\n\n{members}'


def _protocols(service: Service, schema: Schema) -> list[str]:
    unary = [method for method in service.methods if _is_unary(method)]
    streams = [method for method in service.methods if not _is_unary(method)]
    rendered = [_protocol(service.name, service.doc, unary, schema)]
    if streams:
        doc = f"The streams of `{service.name}`."
        rendered.append(_protocol(f"{service.name}Streams", doc, streams, schema))
    return rendered


def _protocol(name: str, doc: str, methods: list[Method], schema: Schema) -> str:
    bodies = [f"{_signature(method, schema)}{docstring(method.doc, ' ' * 8)}        ...\n" for method in methods]
    return f"class {name}(Protocol):\n{docstring(doc)}\n" + "\n".join(bodies)


def _signature(method: Method, schema: Schema) -> str:
    name, request, response = snake_case(method.name), _type(method.request, schema), _type(method.response, schema)
    taken = f"requests: AsyncIterator[{request}]" if method.is_client_streaming else f"request: {request}"
    given = f"AsyncIterator[{response}]" if method.is_server_streaming else response
    kind = "def" if method.is_server_streaming else "async def"
    return f"    {kind} {name}(self, {taken}, call: CallContext, /) -> {given}:\n"


def _type(message: str, schema: Schema) -> str:
    return f"{messages_module(schema.messages[message].file)}.{message}"


def _gated(service: Service, schema: Schema) -> str:
    """Render the wrapper of a service's unary rpcs that asks a gate before every call."""
    lines = [
        f"class Gated{service.name}:\n",
        docstring(f"`{service.name}` behind a gate, which every call passes first."),
        f"\n    def __init__(self, gate: Gate[{service.name}]) -> None:\n        self._gate = gate\n",
    ]
    lines += [
        f'\n{_signature(method, schema)}        """Answer a call that passes the gate."""\n'
        f'        service, call = await self._gate("{service.name}.{method.name}", call)\n'
        f"        return await service.{snake_case(method.name)}(request, call)\n"
        for method in service.methods
        if _is_unary(method)
    ]
    return "".join(lines)


def _constant(service: Service) -> str:
    return snake_case(service.name).upper()


def _handler(service: Service, schema: Schema) -> str:
    methods = "".join(_method(service, method, schema) for method in service.methods)
    return (
        f"def _{snake_case(service.name)}_handler(\n"
        "    services: Services, tracing: ServerTracing, large: LargeMessages\n"
        ") -> grpc.GenericRpcHandler:\n"
        f"    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {{\n{methods}    }}\n"
        f"    return grpc.method_handlers_generic_handler({_constant(service)}, handlers)\n"
    )


def _method(service: Service, method: Method, schema: Schema) -> str:
    sides = (method.is_client_streaming, method.is_server_streaming)
    kinds = {
        (False, False): ("unary_unary", "unary"),
        (True, False): ("stream_unary", "collecting"),
        (True, True): ("stream_stream", "streaming"),
    }
    if sides not in kinds:
        raise SchemaError(f"{method.name}: one request answered by a stream is not supported")
    handler, behaviour = kinds[sides]
    request, response = schema.messages[method.request].file, schema.messages[method.response].file
    return (
        f'        "{method.name}": grpc.{handler}_rpc_method_handler(\n'
        f"            {behaviour}(services.{owner_of(service, method)}.{snake_case(method.name)}, "
        f'f"{{{_constant(service)}}}/{method.name}", tracing),\n'
        f"            decoder({request.stem}_pb2.{method.request}, "
        f"{convert_module(request)}.{snake_case(method.request)}_from_proto, large),\n"
        f"            encoder({convert_module(response)}.{snake_case(method.response)}_to_proto),\n"
        "        ),\n"
    )
