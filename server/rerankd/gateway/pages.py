"""The few answers that are not rpcs: health, the OpenAPI document, a page that shows it and an index."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.routes import ROUTES


class Page(NamedTuple):
    """One ready answer."""

    status: int
    body: bytes
    headers: RawHeaders | None = None
    content_type: bytes = b"application/json"


PAGE_PATHS: Final = ("/", "/health", "/healthz", "/ready", "/openapi.json", "/docs", "/metrics")
_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


def build_pages(
    health: Callable[[], str], version: str, metrics: Callable[[str], tuple[bytes, str]] | None = None
) -> Mapping[str, Callable[[Mapping[str, str]], Page]]:
    """Make the pages by path, of the headers of a request; all but health and metrics are rendered here, once.

    `health` says "starting", "serving" or "draining"; `metrics` renders as an `accept` header asks.
    """

    def show_health(_headers: Mapping[str, str]) -> Page:
        status = health()
        return Page(200 if status == "serving" else 503, msgspec.json.encode({"status": status}))

    def show_metrics(headers: Mapping[str, str]) -> Page:
        if metrics is None:
            return Page(404, b"{}")
        body, media_type = metrics(headers.get("accept", ""))
        return Page(200, body, None, media_type.encode("ascii"))

    index = Page(200, _render_index(version))
    docs = _render_docs()
    openapi = Page(200, Path(__file__).with_name("openapi.json").read_bytes())
    return {
        "/": lambda _headers: index,
        "/health": show_health,
        "/healthz": show_health,
        "/ready": show_health,
        "/openapi.json": lambda _headers: openapi,
        "/docs": lambda _headers: docs,
        "/metrics": show_metrics,
    }


def _render_docs() -> Page:
    """Read the page that shows the OpenAPI document; its policy admits the page's own script and style alone."""
    body = Path(__file__).with_name("docs.html").read_bytes()
    hashes = {
        kind: base64.b64encode(hashlib.sha256(content).digest()).decode() for kind, content in _INLINE.findall(body)
    }
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes[b'script']}'; style-src 'sha256-{hashes[b'style']}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = [
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    return Page(200, body, headers, b"text/html; charset=utf-8")


def _render_index(version: str) -> bytes:
    links = {"health": "/health", "openapi": "/openapi.json", "docs": "/docs", "metrics": "/metrics"}
    for route in ROUTES:
        links.setdefault(route.method, route.template.replace("=**", ""))
    return msgspec.json.encode({"name": "rerankd", "version": version, "links": links})
