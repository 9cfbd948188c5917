"""Replicas of the service on ports that stay theirs, in front of one provider and one Redis, behind a real Envoy."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.envoy import EnvoyProcess
from tests.support.ports import free_port
from tests.support.server import ServerProcess
from tests.support.upstream import answer_well

LATENCY_S: Final = 0.03
"""Of the provider, so that there are always calls under way."""


def answer_slowly(request: Received) -> ScriptedResponse:
    """Answer as the provider does, after `LATENCY_S`."""
    return replace(answer_well(request), delay_s=LATENCY_S)


class Replica:
    """A server that can be killed, drained and started again under the same ports.

    Args:
        folder: For its settings.
        settings: Of the service.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.grpc_port = free_port()
        self.http_port = free_port()
        self.file = folder / f"rerankd-{self.grpc_port}.yaml"
        self.write(settings)
        self.start()

    def write(self, settings: dict[str, Any]) -> None:
        """Replace the settings; a running server takes them up by itself."""
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(yaml.safe_dump(settings), encoding="utf-8")
        unfinished.rename(self.file)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        ports = ("--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port))
        self.server = ServerProcess(
            "--config", str(self.file), *ports, environment={"NO_PROXY": "127.0.0.1"}, preloads=True
        )

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.server.stop(signal.SIGKILL) == -signal.SIGKILL

    def drain(self) -> None:
        """End it as an orchestrator does, and wait."""
        assert self.server.stop(signal.SIGTERM) == 0


class Cluster:
    """Replicas with Envoy in front; a context manager.

    Args:
        folder: For settings and logs.
        settings: Of the service.
        count: Number of replicas, at least 1.
        envoy: Further arguments of `EnvoyProcess`.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], count: int, **envoy: Any) -> None:
        with ThreadPoolExecutor(count) as pool:
            self.replicas = list(pool.map(lambda _: Replica(folder, settings), range(count)))
        grpc_ports = [each.grpc_port for each in self.replicas]
        http_ports = [each.http_port for each in self.replicas]
        self.envoy = EnvoyProcess(grpc_ports, http_ports, folder, **envoy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.envoy.stop()
        for each in self.replicas:
            each.server.stop(signal.SIGKILL)

    def healthy(self, transport: str) -> int:
        """Return how many replicas Envoy finds healthy over "grpc" or "http"."""
        name = f"cluster.rerankd_{transport}.membership_healthy"
        return self.envoy.stats(f"^{name}$")[name]
