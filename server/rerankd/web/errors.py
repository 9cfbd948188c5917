"""Errors of the web application, in the body and with the headers that refused rerank calls have."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.status import internal_error
from rerankd.gateway.refusal import HttpRefusalError, render_headers, superset_body

JSON: Final = "application/json"


async def render_error(request: Request, exception: Exception) -> Response:
    """Answer a request whose endpoint raised; the text of an unexpected exception is not shown."""
    request_id: str = request.state.request_id
    error = _service_error(exception, request_id)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in render_headers(error)}
    body = msgspec.json.encode(superset_body(error, request_id))
    return Response(body, error.http_status, headers, JSON)


def _service_error(exception: Exception, request_id: str) -> ServiceError:
    if isinstance(exception, ServiceError):
        return exception
    if not isinstance(exception, HTTPException) or exception.status_code >= 500:
        return internal_error(request_id)
    is_of_route = exception.status_code in (404, 405)
    return HttpRefusalError(
        Reason.ROUTE_NOT_FOUND if is_of_route else Reason.INVALID_REQUEST,
        exception.detail,
        status=exception.status_code,
        headers=[(name.lower().encode(), value.encode()) for name, value in (exception.headers or {}).items()],
    )
