"""Which providers the conformance suite runs for, and over which transports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rerankd.http.transport import HttpTransport
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint, Provider
from rerankd_adapters.testing import Recording, load_recording

RECORDINGS_DIR = Path(__file__).parent.parent / "recordings"
RECORDINGS: dict[str, Recording] = {
    path.stem: load_recording(path)
    for path in sorted(RECORDINGS_DIR.glob("*.yaml"))
    if yaml.safe_load(path.read_text("utf-8")).get("transport", "http") == "http"
}
TRANSPORTS = ("loop", "pyqwest", "httpx")


class Deployments:
    """Opens deployments over one transport."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def open(self, provider: Provider, endpoint: Endpoint, options: Mapping[str, Any]) -> HttpProvider:
        """Open one; the suite's `OpenDeployment`."""
        return HttpProvider(provider, endpoint, self._transport, options=options)
