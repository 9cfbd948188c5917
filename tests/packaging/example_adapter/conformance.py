"""Runs the conformance suite on the provider of a recording: `python conformance.py RECORDING`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint, Provider
from rerankd_adapters.registry import find_provider
from rerankd_adapters.testing import BEHAVIOURS, check_case, load_recording
from rerankd_adapters.testing.behaviours import MAX_RESPONSE_BYTES


async def check(path: Path) -> int:
    """Run every case and every behaviour; return how many there were."""
    recording = load_recording(path)
    provider = find_provider(recording.provider)
    if provider is None:
        raise SystemExit(f"no provider {recording.provider} is installed")
    transport = open_transport(
        TransportSettings(client="httpx", max_response_bytes=MAX_RESPONSE_BYTES, uses_environment_proxy=False)
    )

    def open_provider(provider: Provider, endpoint: Endpoint, options: Mapping[str, Any]) -> HttpProvider:
        return HttpProvider(provider, endpoint, transport, options=options)

    for case in recording.all_cases():
        await check_case(recording, case, provider, open_provider)
    for behaviour in BEHAVIOURS:
        await behaviour.check(recording, provider, open_provider)
    await transport.close()
    return len(recording.all_cases()) + len(BEHAVIOURS)


if __name__ == "__main__":
    print(f"{asyncio.run(check(Path(sys.argv[1])))} checks passed")
