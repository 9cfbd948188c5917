"""Fails every test in whose logs, spans, metrics or errors a canary is found; for pytest.

Searched are what pytest captured, the log of server processes, what collectors received, and, as clients see them,
`/metrics` and errors over HTTP and gRPC. A test in which documents belong somewhere says so by
`@pytest.mark.shows_documents(SPANS)`. What a server says after the end of a test is searched with the next one.

With pytest-xdist, each worker process searches what its own tests left; what it finds after the last of them it tells
the controlling process, which fails the run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator
from typing import Any

import grpc
import httpx
import pytest

from rerankd.contract.errors import ServiceError
from rerankd_client import RerankError
from tests.support.canary import ANSWERS, ERRORS, METRICS, OUTPUT, Heard, find_leak, hear, take_heard

_MARK = "shows_documents"
_REQUEST_ID = "x-request-id"
"""Tells answers of ours from those of the providers that tests play."""
_LEAKS = "canary_leaks"
"""Key of the output of a worker of pytest-xdist."""
_LEAKS_OF_WORKERS = pytest.StashKey[list[str]]()

_patch = pytest.MonkeyPatch()


def pytest_configure(config: pytest.Config) -> None:
    """Listen to what all tests' clients are told."""
    config.addinivalue_line("markers", f"{_MARK}(*channels): documents belong into these channels of a test")
    _after(ServiceError, "__post_init__", _hear_service_error)
    _after(RerankError, "__post_init__", _hear_client_error)
    _after(grpc.aio.AioRpcError, "__init__", _hear_rpc_error)
    _after(httpx.Response, "read", _hear_response)
    _after(subprocess.Popen, "communicate", _hear_process)
    _after(pytest.CaptureFixture, "readouterr", _hear_captured)
    _hear_asynchronous_responses()


def pytest_unconfigure() -> None:
    """Stop listening."""
    _patch.undo()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search what a phase of a test left behind; it fails where something is found."""
    report = yield
    captured = [content for title, content in report.sections if title.endswith(call.when)]
    heard = [*take_heard(), *(Heard(OUTPUT, text.encode("utf-8", "replace")) for text in captured)]
    allowed = frozenset(channel for mark in item.iter_markers(_MARK) for channel in mark.args)
    leaks = [leak for each in heard if (leak := find_leak(each, allowed))]
    if leaks:
        report.outcome = "failed"
        report.longrepr = "\n".join([*([str(report.longrepr)] if report.longrepr else []), *leaks])
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search what came after the last test."""
    leaks = [leak for each in take_heard() if (leak := find_leak(each))]
    if isinstance(told := getattr(session.config, "workeroutput", None), dict):
        told[_LEAKS] = leaks
        return
    of_workers: list[str] = session.config.stash.get(_LEAKS_OF_WORKERS, [])
    leaks += of_workers
    if leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line("\n".join(leaks), red=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of pytest-xdist found after its last test; a worker that crashed has no output."""
    found = getattr(node, "workeroutput", {}).get(_LEAKS, [])
    node.config.stash.setdefault(_LEAKS_OF_WORKERS, []).extend(found)


def _after(owner: type, name: str, listen: Callable[[Any, Any], None]) -> None:
    """Have `listen` called with the object and the result of every call of a method."""
    original = getattr(owner, name)

    def listened(self: Any, *arguments: Any, **named: Any) -> Any:
        result = original(self, *arguments, **named)
        listen(self, result)
        return result

    _patch.setattr(owner, name, listened)


def _hear_service_error(error: ServiceError, _: Any) -> None:
    hear(ERRORS, f"{error.message} {dict(error.metadata)} {list(error.violations)}")


def _hear_client_error(error: RerankError, _: Any) -> None:
    hear(ERRORS, f"{error.message} {dict(error.metadata)} {error.fields}")


def _hear_rpc_error(error: grpc.aio.AioRpcError, _: Any) -> None:
    trailing = list(error.trailing_metadata() or ())
    if _REQUEST_ID in dict(trailing):
        hear(ERRORS, f"{error.details()} {trailing}")


def _hear_response(response: httpx.Response, _: Any) -> None:
    try:
        path = response.url.path
    except RuntimeError:  # a test made it; nobody sent it
        return
    if path == "/metrics":
        hear(METRICS, response.content)
    elif response.is_error and _REQUEST_ID in response.headers:
        hear(ERRORS, response.content + repr(response.headers).encode())


def _hear_asynchronous_responses() -> None:
    original = httpx.Response.aread

    async def listened(self: httpx.Response) -> bytes:
        content = await original(self)
        _hear_response(self, content)
        return content

    _patch.setattr(httpx.Response, "aread", listened)


def _hear_process(_: Any, said: tuple[Any, Any]) -> None:
    out, err = said
    hear(ANSWERS, out or "")
    hear(OUTPUT, err or "")


def _hear_captured(_: Any, said: Any) -> None:
    if isinstance(said.out, str):
        hear(ANSWERS, said.out)
        hear(OUTPUT, said.err)
