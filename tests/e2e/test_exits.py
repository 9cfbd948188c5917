"""How processes end: by themselves and by signals, with native code, downloads and calls under way."""

from __future__ import annotations

import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import ServerProcess

INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell has what it starts in the background ignore interrupts, and children inherit that."""
BOUND_S = 30.0
"""A process has ended so long after it was told to, on a busy machine: shorter than any time it could wait for."""
SDK = "import asyncio, os, sys, threading, time\nimport rerankd\n"
TABLE = SDK + 'rerankd.rerank("", "capital", ["berlin", "rome"])\nprint("ready", flush=True)\n'
"""`local/default` answers, and makes its static table from then on: some 40 s of one core."""
NEURAL = 'rerankd.rerank("local/ms-marco-minilm-l12-v2", "capital", ["berlin is a city " * 60] * 99, cache="bypass")'
IN_THREAD = (
    "threading.Thread(target=lambda: {call}, daemon=True).start()\ntime.sleep(1.5)\nprint('ready', flush=True)\n"
)
CLIENT = "import asyncio, threading, time\nfrom rerankd_client import AsyncRerankClient, RerankClient\n"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@dataclass
class Silent:
    """A server that takes connections and never answers."""

    port: int
    is_called: threading.Event


@pytest.fixture
def silent() -> Iterator[Silent]:
    is_over, is_called = threading.Event(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            is_called.set()
            is_over.wait()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield Silent(server.server_address[1], is_called)
        is_over.set()
        server.shutdown()
        serving.join()


@pytest.fixture
def silent_port(silent: Silent) -> int:
    return silent.port


def end(
    tmp_path: Path, script: str, number: int | None = None, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program until it says it is ready, and tell it to end; return its exit code and its standard error."""
    file = tmp_path / "program.py"
    file.write_text(INTERRUPTIBLE + script)
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    )
    try:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        if number is not None:
            time.sleep(0.5)
            process.send_signal(number)
        _, errors = process.communicate(timeout=BOUND_S)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, errors


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(TABLE, 0, id="at once"),
        pytest.param(TABLE + "time.sleep(0.4)", 0, id="a moment later"),
        pytest.param(TABLE + "time.sleep(0.4)\nsys.exit(3)", 3, id="with a code"),
        pytest.param(TABLE + "pid = os.fork()\nsys.exit(os.waitpid(pid, 0)[1] if pid else 0)", 0, id="with a child"),
        pytest.param(
            SDK
            + 'asyncio.run(rerankd.arerank("", "capital", ["berlin"]))\nprint("ready", flush=True)\ntime.sleep(0.4)',
            0,
            id="from a coroutine",
        ),
    ],
)
def test_program_ends_while_the_static_table_is_made(tmp_path: Path, cache: Path, script: str, code: int) -> None:
    assert end(tmp_path, script) == (code, "")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_interrupted_program_ends_as_python_does(tmp_path: Path) -> None:
    code, errors = end(tmp_path, TABLE + "time.sleep(60)", signal.SIGINT)
    assert code == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_call_is_interrupted(tmp_path: Path) -> None:
    loaded = 'rerankd.rerank("local/ms-marco-minilm-l12-v2", "a", ["b"])\n'
    script = SDK + loaded + f'print("ready", flush=True)\nwhile True:\n    {NEURAL}'
    code, errors = end(tmp_path, script, signal.SIGINT)
    assert code == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_program_ends_with_a_neural_call_under_way(tmp_path: Path) -> None:
    assert end(tmp_path, SDK + IN_THREAD.format(call=NEURAL)) == (0, "")


@pytest.mark.parametrize("client", ["auto", "httpx"])
def test_program_ends_with_a_provider_call_under_way(tmp_path: Path, silent_port: int, client: str) -> None:
    base = f"http://127.0.0.1:{silent_port}"
    call = f'rerankd.rerank("cohere/rerank-v3.5", "q", ["a"], api_key="k", api_base="{base}")'
    environment = {"RERANKD_TRANSPORT__CLIENT": client}
    assert end(tmp_path, SDK + IN_THREAD.format(call=call), environment=environment) == (0, "")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_program_ends_when_the_collector_is_silent(tmp_path: Path, silent_port: int, protocol: str) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }
    script = SDK + 'rerankd.rerank("local/bm25", "a", ["b"])\nprint("ready", flush=True)'
    assert end(tmp_path, script, environment=environment) == (0, "")


@pytest.fixture
def downloading(tmp_path: Path, silent_port: int) -> dict[str, str]:
    """Variables by which a model is downloaded from a hub that never answers."""
    settings = tmp_path / "rerankd.yaml"
    model = f'{{kind: cross-encoder, hugging_face: org/model, revision: "{REVISION}"}}'
    settings.write_text(f"local:\n  static_table: false\n  models:\n    mine: {model}\n")
    return {
        "RERANKD_CONFIG": str(settings),
        "HF_ENDPOINT": f"http://127.0.0.1:{silent_port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_ETAG_TIMEOUT": "60",
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
    }


def test_program_ends_while_a_model_is_downloaded(tmp_path: Path, downloading: dict[str, str]) -> None:
    script = SDK + IN_THREAD.format(call='rerankd.rerank("", "q", ["a"])')
    assert end(tmp_path, script, environment=downloading) == (0, "")


def test_service_stops_while_a_model_is_downloaded(downloading: dict[str, str]) -> None:
    server = ServerProcess(environment=downloading)
    assert server.stop(timeout_s=BOUND_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_stops_while_the_static_table_is_made(tmp_path: Path, cache: Path, number: int) -> None:
    server = ServerProcess(environment={"XDG_CACHE_HOME": str(cache)}, preloads=True)
    assert server.stop(number, timeout_s=BOUND_S) == 0
    assert "not json" not in {entry["event"] for entry in server.log}
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_service_stops_when_the_collector_is_silent(silent_port: int) -> None:
    server = ServerProcess(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent_port}"})
    assert server.stop(timeout_s=BOUND_S) == 0
    assert "not json" not in {entry["event"] for entry in server.log}


def test_command_is_interrupted(silent: Silent) -> None:
    arguments = ["rerank", "q", "a", "--address", f"127.0.0.1:{silent.port}"]
    program = INTERRUPTIBLE + "import sys; from rerankd.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert silent.is_called.wait(60)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=BOUND_S)
    assert (process.returncode, printed) == (130, "")
    assert "Traceback" not in errors


def test_program_ends_with_a_call_of_the_client_under_way(tmp_path: Path, silent_port: int) -> None:
    opened = f'client = RerankClient("127.0.0.1:{silent_port}", timeout_s=60)\n'
    assert end(tmp_path, CLIENT + opened + IN_THREAD.format(call='client.rerank("q", ["a"])')) == (0, "")


def test_loop_ends_with_a_call_of_the_client_under_way(tmp_path: Path, silent_port: int) -> None:
    body = f"""
async def main():
    client = AsyncRerankClient("127.0.0.1:{silent_port}", timeout_s=60)
    call = asyncio.create_task(client.rerank("q", ["a"]))
    await asyncio.sleep(1)
    print("ready", flush=True)

asyncio.run(main())
"""
    assert end(tmp_path, CLIENT + body) == (0, "")
