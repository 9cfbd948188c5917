"""The few answers that are not rpcs: health, the OpenAPI document and an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rerankd.gateway.routes import ROUTES


class Page(NamedTuple):
    """One ready answer."""

    status: int
    body: bytes
    media_type: str = "application/json"


PAGE_PATHS: Final = ("/", "/health", "/healthz", "/ready", "/openapi.json", "/metrics")


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
        return Page(200, *metrics(headers.get("accept", ""))) if metrics else Page(404, b"{}")

    index = Page(200, _render_index(version))
    openapi = Page(200, Path(__file__).with_name("openapi.json").read_bytes())
    return {
        "/": lambda _headers: index,
        "/health": show_health,
        "/healthz": show_health,
        "/ready": show_health,
        "/openapi.json": lambda _headers: openapi,
        "/metrics": show_metrics,
    }


def _render_index(version: str) -> bytes:
    links: dict[str, str] = {"health": "/health", "openapi": "/openapi.json", "metrics": "/metrics"}
    for route in ROUTES:
        links.setdefault(route.method, route.template.replace("=**", ""))
    return msgspec.json.encode({"name": "rerankd", "version": version, "links": links})
