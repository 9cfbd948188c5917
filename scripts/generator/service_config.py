"""Copies of `protos/rerank/v1/service_config.json`, the policy of all clients, in the form each language embeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = "protos/rerank/v1/service_config.json"


def render_service_configs(root: Path) -> dict[str, str]:
    """Render the copy of each client, by path relative to the repository.

    Raises:
        ValueError: The source is not JSON.
    """
    text = (root / SOURCE).read_text(encoding="utf-8")
    json.loads(text)
    return {path: render(text) for path, render in _FORMS.items()}


def _python(text: str) -> str:
    return (
        f'"""Load balancing, health checks and retries, generated from {SOURCE}."""\n\n'
        "from __future__ import annotations\n\nfrom typing import Final\n\n"
        f'SERVICE_CONFIG: Final = """\\\n{text}"""\n"""JSON, as gRPC reads it."""\n'
    )


def _typescript(text: str) -> str:
    return (
        f"// Load balancing, health checks and retries, generated from {SOURCE}.\n\n"
        f"/** As gRPC reads it, in JSON. */\nexport const SERVICE_CONFIG = {text.rstrip()};\n"
    )


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "clients/go/service_config.json": str,
    "clients/java/src/main/resources/dev/rerankd/service_config.json": str,
    "clients/python/rerankd_client/service_config.py": _python,
    "clients/typescript/src/service_config.ts": _typescript,
}
