"""Which providers the conformance suite runs for, over which transports, with which misbehaviours.

Every recording runs over every transport. Of the misbehaviours, the whole product says little more than a part of it:
an adapter's `parse` is a pure function of a status, headers and a body, the same whichever transport brought them, and
what a transport does about a stalled or cancelled exchange depends on no adapter. So run are

- every misbehaviour, for every transport, with `REPRESENTATIVES`, one for each way in which a call is put together;
- every misbehaviour but those of `WIRE_ONLY`, for every adapter, over the transport that servers use by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_settings import ClientName
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint, Provider
from rerankd_adapters.testing import BEHAVIOURS, Behaviour, Recording, load_recording
from rerankd_adapters.testing.yaml_files import read_yaml

RECORDINGS_DIR = Path(__file__).parent.parent / "recordings"
RECORDINGS: dict[str, Recording] = {
    path.stem: load_recording(path)
    for path in sorted(RECORDINGS_DIR.glob("*.yaml"))
    if read_yaml(path).get("transport", "http") == "http"
}
TRANSPORTS: tuple[ClientName, ...] = ("loop", "httpx")

REPRESENTATIVES = ("cohere", "tei", "nvidia_nim", "bedrock", "vertex", "sagemaker", "generic")
"""A key in a header; no key and a bare array; answers that are polled for; AWS signatures, of both services; indices
that are text; a wire format made of options."""
WIRE_ONLY = {
    "slow headers",
    "slow body",
    "cancelled while waiting for the head",
    "cancelled in the middle of the body",
}
"""Misbehaviours after which there is nothing to parse, and which take as long as the deadline they miss."""


def combinations() -> Iterator[tuple[str, str, Behaviour]]:
    """Give each transport, provider and misbehaviour that is run."""
    for transport in TRANSPORTS:
        for name in RECORDINGS:
            for behaviour in BEHAVIOURS:
                is_default = transport == TRANSPORTS[0] and behaviour.name not in WIRE_ONLY
                if is_default or name in REPRESENTATIVES:
                    yield transport, name, behaviour


class Deployments:
    """Opens deployments over one transport."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def open(self, provider: Provider, endpoint: Endpoint, options: Mapping[str, Any]) -> HttpProvider:
        """Open one; the suite's `OpenProvider`."""
        return HttpProvider(provider, endpoint, self._transport, options=options)
