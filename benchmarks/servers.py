"""Every server that is measured, by name: this service with more or less turned on, its peers, the stack's ceilings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from benchmarks.processes import MissingToolError, Ports, Running, free_port, printed_port, running
from benchmarks.upstream import CA_FILE, COUNTS, upstream
from tests.support.litellm_proxy import KEY, LITELLM, proxy_program

ROOT: Final = Path(__file__).parent.parent
GO: Final = "/usr/local/go/bin"
SLOW_S: Final = 0.05
SPLIT_DOCUMENTS: Final = 100
"""Most documents in one call of the provider `split`."""
LITELLM_KEY: Final = f"Bearer {KEY}"


@dataclass
class Setup:
    """Where servers run and what they talk to."""

    folder: Path
    server_cores: set[int]
    load_cores: set[int]
    provider: Running = field(init=False)
    upstream_url: str = ""
    secure_url: str = ""
    """Of the same provider over TLS."""
    ca_file: Path = field(init=False)
    """What its certificate is verified against."""
    slow_url: str = ""
    collector_url: str = ""

    def new_folder(self) -> Path:
        """Make an empty folder."""
        self._folders += 1
        folder = self.folder / f"server-{self._folders}"
        folder.mkdir()
        return folder

    _folders: int = field(default=0, init=False)


Start = Callable[[Setup], AbstractContextManager[Running]]


@contextmanager
def surroundings(folder: Path, server_cores: set[int], load_cores: set[int]) -> Iterator[Setup]:
    """Run the providers and the collector on the cores of the load."""
    setup = Setup(folder, server_cores, load_cores)
    with ExitStack() as stack:
        folder_of_provider = setup.new_folder()
        setup.provider = stack.enter_context(upstream(folder_of_provider, load_cores))
        setup.upstream_url = f"http://127.0.0.1:{setup.provider.ports['port']}"
        setup.secure_url = f"https://127.0.0.1:{setup.provider.ports['tls']}"
        setup.ca_file = folder_of_provider / CA_FILE
        slow = stack.enter_context(_module("far_side", "slow-provider", str(SLOW_S), cores=load_cores))
        setup.slow_url = f"http://127.0.0.1:{slow.ports['port']}"
        collector = stack.enter_context(_module("far_side", "collector", cores=load_cores))
        setup.collector_url = f"http://127.0.0.1:{collector.ports['port']}"
        yield setup


def rerankd(
    *,
    workers: int = 1,
    variables: Mapping[str, str] | None = None,
    traces: float = 0.1,
    settings: Mapping[str, Any] | None = None,
) -> Start:
    """Make this service, with everything on unless said otherwise: traces, metrics, log, limits, cache.

    Args:
        workers: Processes; more than one get the cores of the load too, which shares them.
        variables: Of the environment, over the usual ones.
        traces: Share of the calls that are traced; 0 for no tracing at all.
        settings: Over the usual ones, by section.
    """

    @contextmanager
    def start(setup: Setup) -> Iterator[Running]:
        path = setup.new_folder() / "rerankd.yaml"
        path.write_text(yaml.safe_dump(settings_of(setup) | dict(settings or {})))
        environment = {"RERANKD_LOG__FORMAT": "json"}
        if traces:
            environment |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": setup.collector_url,
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": str(traces),
            }
        ports = ["--grpc-port", "0", "--http-port", "0"]
        serve = [sys.executable, "-m", "rerankd.cli", "serve", *ports, "--config", str(path)]
        if workers > 1:
            serve += ["--workers", str(workers)]
        cores = setup.server_cores | setup.load_cores if workers > 1 else setup.server_cores
        with running(serve, ready_ports, cores, environment | dict(variables or {})) as server:
            yield server

    return start


def settings_of(setup: Setup) -> dict[str, Any]:
    """Make the service's settings: a model for each number of documents, with limits that are never reached.

    `rank-4` asks for up to 4 documents at once and so on, `split` for 100 at once, `slow` waits, `secure-4` uses TLS;
    `uncached-4` and so on are the same without the cache.
    """
    providers: dict[str, Any] = {
        f"answers-{count}": {"provider": "cohere", "base_url": f"{setup.upstream_url}/{count}", "api_key": "a-key"}
        for count in COUNTS
    }
    split = {"models": {"*": {"max_documents": SPLIT_DOCUMENTS}}}
    providers["split"] = providers[f"answers-{SPLIT_DOCUMENTS}"] | split
    providers["secure"] = providers["answers-4"] | {"base_url": f"{setup.secure_url}/4"}
    providers["slow"] = providers["answers-4"] | {"base_url": setup.slow_url}
    models = {}
    for count in COUNTS:
        models[f"rank-{count}"] = _model(f"answers-{count}")
        models[f"uncached-{count}"] = _model(f"answers-{count}") | {"cache": False}
    models |= {"split": _model("split"), "secure-4": _model("secure"), "slow": _model("slow")}
    # Made in the background at the first start, which would be measured with what follows.
    transport = {"ca_file": str(setup.ca_file)}
    return {"providers": providers, "models": models, "transport": transport, "local": {"static_table": False}}


def _model(provider: str) -> dict[str, Any]:
    deployment = {"model": f"{provider}/rerank-v3.5", "max_concurrent": 256, "requests_per_minute": 1_000_000_000}
    return {"deployments": [deployment]}


def ready_ports(line: str) -> Ports | None:
    """Read the ports of this service from its log; a `FindPorts`."""
    if not line.startswith("{"):
        return None
    entry = json.loads(line)
    return {"grpc": entry["grpc_port"], "http": entry["http_port"]} if entry["event"] == "ready" else None


@contextmanager
def litellm(setup: Setup) -> Iterator[Running]:
    """Run a LiteLLM proxy, one worker, with a model `rank-4` and so on."""
    port = free_port()
    models = {
        f"rank-{count}": {"model": "cohere/rerank-v3.5", "api_base": f"{setup.upstream_url}/{count}"}
        for count in COUNTS
    }
    models["secure-4"] = models["rank-4"] | {"api_base": f"{setup.secure_url}/4"}
    try:
        command, environment = proxy_program(setup.new_folder(), port, models)
    except pytest.skip.Exception as error:
        raise MissingToolError(f"{LITELLM} cannot be installed: {error}") from None

    def find_ports(line: str) -> Ports | None:
        return {"port": port} if re.search(r"Uvicorn running on|Application startup complete", line) else None

    environment |= {"SSL_CERT_FILE": str(setup.ca_file)}
    with running(command, find_ports, setup.server_cores, environment) as server:
        yield server


@contextmanager
def go_gateway(setup: Setup, *, over_tls: bool = False) -> Iterator[Running]:
    """Build and run the compiled gateway, which asks the provider plainly or over TLS."""
    go = shutil.which("go") or shutil.which("go", path=GO)
    if go is None:
        raise MissingToolError("Go is not installed: see go.dev/doc/install, or apt-get install golang-go")
    program = setup.new_folder() / "gateway"
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    built = subprocess.run(
        [go, "build", "-o", str(program), "."],
        cwd=ROOT / "benchmarks" / "go",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise MissingToolError(f"the compiled gateway cannot be built: {built.stderr}")
    url = setup.secure_url if over_tls else setup.upstream_url
    variables = {"SSL_CERT_FILE": str(setup.ca_file)}
    with running([str(program), url], printed_port, setup.server_cores, variables) as server:
        yield server


@contextmanager
def provider_itself(setup: Setup) -> Iterator[Running]:
    """Be the provider, which runs already."""
    yield setup.provider


def ceiling(kind: str, *, asks: bool) -> Start:
    """Make a bare server, of kind `grpc` or `http`, that asks the provider first or does not."""

    def start(setup: Setup) -> AbstractContextManager[Running]:
        url = [f"{setup.upstream_url}/4/v2/rerank"] if asks else []
        return _module("ceilings", kind, *url, cores=setup.server_cores)

    return start


def _module(name: str, *arguments: str, cores: set[int]) -> AbstractContextManager[Running]:
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos/gen/python")])}
    return running([sys.executable, "-m", f"benchmarks.{name}", *arguments], printed_port, cores, path)


TELEMETRY: Final[Mapping[str, Start]] = {
    "nothing": rerankd(traces=0, variables={"RERANKD_TELEMETRY__METRICS": "false", "RERANKD_LOG__SAMPLE": "0"}),
    "metrics": rerankd(traces=0, variables={"RERANKD_LOG__SAMPLE": "0"}),
    "metrics, log": rerankd(traces=0),
    "metrics, log, traces of 10 %": rerankd(),
    "metrics, log, traces of all": rerankd(traces=1),
}
"""The service with more and more telemetry."""

SERVERS: Final[Mapping[str, Start]] = {
    "rerankd": rerankd(),
    "rerankd without embedded models": rerankd(settings={"local": {"enabled": False}}),
    "rerankd, 2 workers": rerankd(workers=2),
    "LiteLLM proxy": litellm,
    "compiled gateway": go_gateway,
    "compiled gateway, TLS": partial(go_gateway, over_tls=True),
    "bare uvicorn": ceiling("http", asks=False),
    "bare uvicorn, asking": ceiling("http", asks=True),
    "bare grpc.aio": ceiling("grpc", asks=False),
    "bare grpc.aio, asking": ceiling("grpc", asks=True),
    "provider": provider_itself,
    **{f"telemetry: {name}": start for name, start in TELEMETRY.items()},
}


class Pool:
    """Servers that stay once they were used, so that rounds can go from one to the other."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._stack = ExitStack()
        self._running: dict[str, Running] = {}
        self._missing: dict[str, MissingToolError] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all; one that is used again is started again."""
        self._running.clear()
        self._stack.close()

    def get(self, name: str) -> Running:
        """Return the server of that name; one that is not running is started, and done with all it does at its start.

        Raises:
            MissingToolError: Something it needs is not on this machine.
        """
        if name in self._missing:
            raise self._missing[name]
        if name not in self._running:
            try:
                self._running[name] = self._stack.enter_context(SERVERS[name](self.setup))
            except MissingToolError as error:
                self._missing[name] = error
                raise
            self._running[name].settle()
        return self._running[name]
