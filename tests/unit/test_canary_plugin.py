"""The search for canaries finds a leak wherever there is one, fails the test that made it, and no other."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET, CHANNELS, ERRORS, SPANS, Heard, find_leak

ROOT = Path(__file__).parents[2]
LEAKING = """
import asyncio, json, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
import grpc, httpx, pytest, structlog
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.errors import Reason, ServiceError
from rerankd_client import RerankClient, RerankError
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET, ERRORS
from tests.support.collector import Collector
from tests.support.server import ServerProcess

TEXTS = {"secret": CANARY_SECRET, "document": CANARY_DOCUMENT}
both = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


@pytest.fixture(scope="module")
def http_url():
    class Leaking(BaseHTTPRequestHandler):
        def do_GET(self):
            text = TEXTS[self.path.rpartition("=")[2]].encode()
            self.send_response(200 if self.path.startswith("/metrics") else 500)
            self.send_header("x-request-id", "r")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Leaking)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def grpc_server(text):
    async def fail(request, context):
        await context.abort(grpc.StatusCode.INTERNAL, text, (("x-request-id", "r"),))

    server = grpc.aio.server()
    handlers = {"Rerank": grpc.unary_unary_rpc_method_handler(fail)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("rerank.v1.RerankService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


@both
def test_leak_on_stdout(text):
    print(text)


@both
def test_leak_on_stderr(text):
    print(text, file=sys.stderr)


@both
def test_leak_in_a_record(text):
    import logging
    logging.getLogger("x").warning("said %s", text)


@both
def test_leak_in_structlog(text):
    structlog.get_logger("x").info("said", what=text)


@pytest.fixture
def leaking_teardown():
    yield
    print(CANARY_SECRET)


def test_leak_in_teardown_secret(leaking_teardown):
    pass


@both
def test_leak_taken_by_capsys(text, capsys):
    print(text, file=sys.stderr)
    assert text in capsys.readouterr().err


@both
def test_leak_of_a_server_process(text):
    environment = {"RERANKD_LOCAL__ENABLED": "false", "RERANKD_DEFAULT_MODEL": f"cohere/{text}", "CO_API_KEY": "k"}
    server = ServerProcess(environment=environment)
    with RerankClient(server.grpc_address) as client:
        try:
            client.rerank("q", ["d"], model=f"none/{text}"[:30], user=text)
        except RerankError:
            pass
    server.wait_for_log("call")
    assert server.stop() == 0


@both
def test_leak_of_a_command(text):
    program = f"import sys; print({text!r}, file=sys.stderr)"
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)


def test_leak_of_an_answer_secret():
    subprocess.run([sys.executable, "-c", f"print({CANARY_SECRET!r})"], capture_output=True, check=True)


@both
def test_leak_in_a_span(text):
    with Collector() as collector:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(collector.url, insecure=True)))
        with provider.get_tracer("x").start_as_current_span("x") as span:
            span.add_event("e", {"said": text})
        provider.shutdown()
        assert len(collector.spans) == 1


@both
def test_leak_in_a_pushed_metric(text):
    with Collector() as collector:
        provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(collector.url, insecure=True))])
        provider.get_meter("x").create_counter("c").add(1, {"said": text})
        provider.shutdown()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("path", ["metrics", "error"])
def test_leak_over_http(http_url, path, name):
    httpx.get(f"{http_url}/{path}?what={name}", trust_env=False)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("path", ["metrics", "error"])
def test_leak_over_asynchronous_http(http_url, path, name):
    async def get():
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{http_url}/{path}?what={name}")

    asyncio.run(get())


@both
def test_leak_in_a_service_error(text):
    ServiceError(Reason.INTERNAL, "no", metadata={"said": text})


@both
def test_leak_in_a_clients_error(text):
    async def call():
        server, address = await grpc_server(text)

        def rerank():
            with RerankClient(address, max_attempts=1) as client, pytest.raises(RerankError):
                client.rerank("q", ["d"])

        await asyncio.to_thread(rerank)
        await server.stop(None)

    asyncio.run(call())


@both
def test_leak_in_a_grpc_error(text):
    async def call():
        server, address = await grpc_server(text)
        async with grpc.aio.insecure_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/rerank.v1.RerankService/Rerank")(b"")
        await server.stop(None)

    asyncio.run(call())


@pytest.mark.shows_documents(ERRORS)
def test_fine_where_documents_belong():
    ServiceError(Reason.INTERNAL, CANARY_DOCUMENT)


@pytest.mark.shows_documents(ERRORS)
def test_leak_of_a_secret_where_documents_belong():
    ServiceError(Reason.INTERNAL, CANARY_SECRET)


def test_fine_without_any():
    print("canary")
    subprocess.run([sys.executable, "-c", f"print({CANARY_DOCUMENT!r})"], capture_output=True, check=True)
"""


LATE = """
import pytest
from tests.support.canary import CANARY_SECRET, LOG, hear


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput") and session.config.getoption("numprocesses", None):
        return  # the process that controls the others, which runs no tests
    hear(LOG, CANARY_SECRET)
"""


def run_pytest(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the tests of a folder with the plugin; return the exit status and the lines said."""
    written = folder / "out.txt"
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.canary_plugin", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(folder), "-c", os.devnull, *arguments, str(folder)]
    with written.open("wb") as out:  # a file, for what it says is full of canaries
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=out, stderr=out, timeout=300, check=False)
    return done.returncode, written.read_text().splitlines()


def test_a_leak_in_every_channel_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    _, lines = run_pytest(tmp_path, "-rA", "--tb=short")
    outcomes = {
        line.split(" ")[1].rpartition("::")[2]: line.split(" ")[0]
        for line in lines
        if line.startswith(("PASSED ", "FAILED ", "ERROR ")) and "::" in line
    }
    leaked = {name for name, outcome in outcomes.items() if outcome != "PASSED"}
    assert leaked == {name for name in outcomes if name.startswith("test_leak")}
    assert outcomes["test_leak_in_teardown_secret"] == "ERROR"
    assert len(leaked) == LEAKING.count("@both\ndef") * 2 + 2 * 4 + 3
    for channel in CHANNELS:
        assert any(f"is in the {channel}: " in line for line in lines), channel
    assert not [line for line in lines if "Traceback" in line or line.startswith("E  ")]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_leak_after_the_last_test_fails_the_run(tmp_path: Path, processes: int) -> None:
    (tmp_path / "test_fine.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    (tmp_path / "conftest.py").write_text(LATE)
    status, lines = run_pytest(tmp_path, "-n", str(processes))
    assert status == pytest.ExitCode.TESTS_FAILED
    assert sum("a secret is in the log of a server process" in line for line in lines) == max(processes, 1)
    assert any(line.startswith("=") and "2 passed" in line for line in lines)


@pytest.mark.parametrize("offset", range(3))
@pytest.mark.parametrize("canary", [CANARY_SECRET, CANARY_DOCUMENT])
def test_a_canary_in_base64_is_found(canary: str, offset: int) -> None:
    coded = base64.b64encode(f"{'u' * offset}{canary}:p".encode())
    assert find_leak(Heard(SPANS, coded)) is not None
    assert find_leak(Heard(SPANS, coded[:-20])) is None


def test_documents_are_allowed_only_where_they_belong() -> None:
    heard = Heard(ERRORS, f"the text {CANARY_DOCUMENT} is too long".encode())
    leak = find_leak(heard)
    assert leak is not None
    assert "a document is in the errors" in leak
    assert find_leak(heard, frozenset({SPANS})) is not None
    assert find_leak(heard, frozenset({ERRORS})) is None
