"""Renders `server/rerankd/gateway/routes.py`: the table of HTTP routes."""

from __future__ import annotations

from scripts.generator.schema import Binding, Method, Schema, Service
from scripts.generator.services import owner_of
from scripts.generator.text import HEADER, snake_case

_PREAMBLE = f'''# {HEADER}
"""The HTTP routes that `google.api.http` annotations give the rpcs."""

from __future__ import annotations

from typing import Final

from rerankd.contract import messages
from rerankd.gateway.route_table import Route

ROUTES: Final[tuple[Route, ...]] = (
'''


def render_routes(schema: Schema) -> str:
    """Render the module."""
    routes = [
        _render_route(service, method, binding) for service, method in schema.methods() for binding in method.bindings
    ]
    return _PREAMBLE + "".join(routes) + ")\n"


def _render_route(service: Service, method: Method, binding: Binding) -> str:
    return (
        f'    Route(http_method="{binding.http_method}", template="{binding.path}", rpc="{method.name}", '
        f'service="{owner_of(service, method)}", method="{snake_case(method.name)}", '
        f"request_type=messages.{method.request}, response_type=messages.{method.response}, "
        f"has_body={binding.body == '*'}, response_body={binding.response_body or None!r}, "
        f"is_streaming={method.is_client_streaming or method.is_server_streaming},),\n"
    )
