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


PAGE_PATHS: Final = ("/", "/health", "/healthz", "/ready", "/openapi.json")


def build_pages(health: Callable[[], str], version: str) -> Mapping[str, Callable[[], Page]]:
    """Make the pages by path; all but health are rendered here, once.

    `health` says "starting", "serving" or "draining".
    """

    def show_health() -> Page:
        status = health()
        return Page(200 if status == "serving" else 503, msgspec.json.encode({"status": status}))

    index = Page(200, _render_index(version))
    openapi = Page(200, Path(__file__).with_name("openapi.json").read_bytes())
    return {
        "/": lambda: index,
        "/health": show_health,
        "/healthz": show_health,
        "/ready": show_health,
        "/openapi.json": lambda: openapi,
    }


def _render_index(version: str) -> bytes:
    links: dict[str, str] = {"health": "/health", "openapi": "/openapi.json"}
    for route in ROUTES:
        links.setdefault(route.method, route.template.replace("=**", ""))
    return msgspec.json.encode({"name": "rerankd", "version": version, "links": links})
