"""Renders `server/rerankd/gateway/routes.py`: the table of HTTP routes."""

from __future__ import annotations

from scripts.generator.contract import messages_module
from scripts.generator.schema import Binding, Method, Schema, Service
from scripts.generator.services import owner_of
from scripts.generator.text import HEADER, snake_case

_PREAMBLE = f'''# {HEADER}
"""The HTTP routes that `google.api.http` annotations give the rpcs."""

from __future__ import annotations

from typing import Final

%sfrom rerankd.gateway.route_table import Route

ROUTES: Final[tuple[Route, ...]] = (
'''


def render_routes(schema: Schema) -> str:
    """Render the module."""
    routes = [
        _render_route(service, method, binding, schema)
        for service, method in schema.methods()
        for binding in method.bindings
    ]
    imports = "".join(f"from rerankd.contract import {messages_module(file)}\n" for file in schema.files())
    return _PREAMBLE % imports + "".join(routes) + ")\n"


def _render_route(service: Service, method: Method, binding: Binding, schema: Schema) -> str:
    request, response = (
        f"{messages_module(schema.messages[name].file)}.{name}" for name in (method.request, method.response)
    )
    status = "" if method.http_status == 200 else f"success_status={method.http_status}, "
    return (
        f'    Route(http_method="{binding.http_method}", template="{binding.path}", rpc="{method.name}", '
        f'service="{owner_of(service, method)}", method="{snake_case(method.name)}", '
        f"request_type={request}, response_type={response}, "
        f"has_body={binding.body == '*'}, response_body={binding.response_body or None!r}, "
        f"{status}is_streaming={method.is_client_streaming or method.is_server_streaming},),\n"
    )
