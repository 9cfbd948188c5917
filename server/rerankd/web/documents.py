"""Documents about the HTTP interface: the index, the OpenAPI document and the page that shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rerankd.gateway.routes import ROUTES
from rerankd.web.errors import JSON

_FOLDER: Final = Path(__file__).parent
_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


class Documents:
    """Answers with documents that are read and rendered once, when this is made.

    Args:
        version: Version shown by the index.
    """

    def __init__(self, version: str) -> None:
        self._index = _render_index(version)
        self._openapi = (_FOLDER / "openapi.json").read_bytes()
        self._docs = (_FOLDER / "docs.html").read_bytes()
        self._docs_headers = _docs_headers(self._docs)

    async def index(self, _request: Request) -> Response:
        """Return name, version and links."""
        return Response(self._index, media_type=JSON)

    async def openapi(self, _request: Request) -> Response:
        """Return the OpenAPI document that `make generate` makes of the protos."""
        return Response(self._openapi, media_type=JSON)

    async def docs(self, _request: Request) -> Response:
        """Return the page that shows the OpenAPI document in a browser."""
        return Response(self._docs, media_type="text/html", headers=self._docs_headers)


def _docs_headers(page: bytes) -> Mapping[str, str]:
    """Build the security headers of a page; its content security policy admits only its own script and style."""
    hashes = {
        kind: base64.b64encode(hashlib.sha256(content).digest()).decode() for kind, content in _INLINE.findall(page)
    }
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes[b'script']}'; style-src 'sha256-{hashes[b'style']}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


def _render_index(version: str) -> bytes:
    links = {"health": "/health", "openapi": "/openapi.json", "docs": "/docs", "metrics": "/metrics"}
    for route in ROUTES:
        links.setdefault(route.method, route.template.replace("=**", ""))
    return msgspec.json.encode({"name": "rerankd", "version": version, "links": links})
