"""Where the service listens, and where it refuses to because callers are not authenticated."""

from __future__ import annotations

import errno
import socket
import tempfile
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rerankd.gateway.listener.server import bind
from rerankd.serving.banner import announce
from rerankd.serving.listening import (
    Addresses,
    CannotStartError,
    bind_all,
    exposed_addresses,
    exposure_problem,
    find_addresses,
    resolve,
)
from rerankd.serving.service import Service
from rerankd.serving.supervisor import supervise
from rerankd.serving.worker import EXIT_CANNOT_START
from rerankd.settings import ServerSettings, Settings, SettingsError, SettingsOrigin, load_settings

HAS_IPV6 = Path("/proc/net/if_inet6").exists()
BOTH = ("127.0.0.1", "::1") if HAS_IPV6 else ("127.0.0.1",)

LOOPBACK_HOSTS = {
    "localhost": BOTH,
    "127.0.0.1": ("127.0.0.1",),
    "127.9.9.9": ("127.9.9.9",),
    "127.1": ("127.0.0.1",),
    "2130706433": ("127.0.0.1",),
    "::1": ("::1",),
    "[::1]": ("::1",),
    "0:0:0:0:0:0:0:1": ("::1",),
    "::ffff:127.0.0.1": ("127.0.0.1",),
}
EXPOSED_HOSTS = {
    "0.0.0.0": ("0.0.0.0",),
    "0": ("0.0.0.0",),
    "::": ("::",),
    "[::]": ("::",),
    "::ffff:0.0.0.0": ("0.0.0.0",),
    "::ffff:10.0.0.1": ("10.0.0.1",),
    "10.0.0.1": ("10.0.0.1",),
    "169.254.1.1": ("169.254.1.1",),
    "fd00::1": ("fd00::1",),
    "2001:db8::1": ("2001:db8::1",),
}


@pytest.mark.parametrize(("host", "addresses"), LOOPBACK_HOSTS.items())
def test_loopback_needs_no_permission(host: str, addresses: tuple[str, ...]) -> None:
    assert find_addresses(ServerSettings(host=host)) == addresses
    assert exposed_addresses(addresses) == []


@pytest.mark.parametrize(("host", "addresses"), EXPOSED_HOSTS.items())
def test_other_addresses_are_refused_unless_allowed(host: str, addresses: tuple[str, ...]) -> None:
    with pytest.raises(CannotStartError) as refused:
        find_addresses(ServerSettings(host=host))
    assert host in str(refused.value)
    assert "server.allow_unauthenticated: true" in str(refused.value)
    assert "--allow-unauthenticated" in str(refused.value)
    assert find_addresses(ServerSettings(host=host, allow_unauthenticated=True)) == addresses


def test_a_name_with_one_exposed_address_is_refused() -> None:
    problem = exposure_problem(ServerSettings(host="box.example"), ["127.0.0.1", "192.0.2.7"])
    assert problem is not None
    assert "box.example (192.0.2.7)" in problem
    assert exposure_problem(ServerSettings(host="box.example"), ["127.0.1.1", "::1"]) is None
    assert exposed_addresses(["::ffff:127.0.0.1", "::ffff:192.0.2.7"]) == ["::ffff:192.0.2.7"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "*", "a" * 300, "a..b", "http://localhost", "unix:/run/a"])
def test_an_unknown_name_is_said(host: str) -> None:
    with pytest.raises(CannotStartError, match=r"cannot resolve server\.host"):
        find_addresses(ServerSettings(host=host))


def test_an_empty_host_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"server\.host must not be empty"):
        load_settings(overrides={"server.host": " "})


def test_the_environment_allows_unauthenticated_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_SERVER__ALLOW_UNAUTHENTICATED", "true")
    assert load_settings().server.allow_unauthenticated


async def test_a_worker_refuses_before_it_listens() -> None:
    settings = Settings(server=ServerSettings(host="0.0.0.0", grpc_port=0, http_port=0))
    service = Service(settings)
    with pytest.raises(CannotStartError, match="allow_unauthenticated"):
        await service.start()
    await service.stop()


def test_several_workers_need_a_folder_for_their_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a read-only root and no /tmp."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    server = ServerSettings(workers=2, grpc_port=0, http_port=0)
    with capture_logs() as lines:
        assert supervise(Settings(server=server), SettingsOrigin(), lambda _: None) == EXIT_CANNOT_START
    (line,) = lines
    assert line["problem"] == "several workers share their metrics in a temporary folder: No such file or directory"
    assert "mount /tmp" in line["advice"]


def test_the_supervisor_refuses_before_it_starts_workers() -> None:
    settings = Settings(server=ServerSettings(host="::", grpc_port=0, http_port=0, workers=2))
    announced: list[Addresses] = []
    assert supervise(settings, SettingsOrigin(), announced.append) == 1
    assert announced == []


@pytest.mark.parametrize(("listening", "is_warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_summary_says_who_may_call(
    listening: str,
    is_warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    announce(Settings(), Addresses("host", (listening,), 1, 2))
    shown = capsys.readouterr().out + caplog.text  # in the log where an earlier test has configured it
    assert ("anybody may call: callers are not authenticated" in shown) == is_warned
    assert ("anybody who reaches 0.0.0.0, without a key" in shown) == is_warned
    assert ("this machine, without a key" in shown) != is_warned


def test_the_first_command_is_one_line_outside_of_the_box(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    announce(Settings(), Addresses("localhost", ("127.0.0.1",), 50051, 8080))
    announce(Settings(), Addresses("127.0.0.1", ("127.0.0.1",), 50052, 8080))
    lines = [line.removeprefix("try  ") for line in capsys.readouterr().out.splitlines() if line.startswith("try")]
    usual, other = (line.partition("rerankd rerank ")[2] for line in lines)
    assert usual == '"capital of France" Paris Rome'
    assert other == '--address 127.0.0.1:50052 "capital of France" Paris Rome'


def test_one_port_is_bound_on_every_address() -> None:
    bound = bind_all(resolve("localhost"), 0, bind)
    assert [listener.getsockname()[0] for listener in bound] == list(BOTH)
    assert len({listener.getsockname()[1] for listener in bound}) == 1
    for listener in bound:
        listener.close()


def test_the_address_of_all_takes_both_families() -> None:
    with bind("::" if HAS_IPV6 else "0.0.0.0", 0) as listener:
        for address in BOTH:
            socket.create_connection((address, listener.getsockname()[1])).close()


def test_port_0_is_tried_again_where_one_address_has_it_taken() -> None:
    opened: list[socket.socket] = []

    def bind_third_time(address: str, port: int) -> socket.socket:
        if port and len(opened) < 3:
            raise OSError(errno.EADDRINUSE, "taken")
        opened.append(bind(address, port))
        return opened[-1]

    bound = bind_all(["127.0.0.1", "127.0.0.2"], 0, bind_third_time)
    assert bound == opened[-2:]
    assert [listener.fileno() == -1 for listener in opened] == [True, True, False, False]
    for listener in bound:
        listener.close()


@pytest.mark.parametrize("taken", ["127.0.0.1", "127.0.0.2"])
def test_a_taken_port_leaves_nothing_open(taken: str) -> None:
    opened: list[socket.socket] = []

    def bind_and_note(address: str, port: int) -> socket.socket:
        opened.append(bind(address, port))
        return opened[-1]

    with bind(taken, 0) as listener, pytest.raises(OSError, match="in use"):
        bind_all(["127.0.0.1", "127.0.0.2"], listener.getsockname()[1], bind_and_note)
    assert all(one.fileno() == -1 for one in opened)


@pytest.mark.parametrize("host", ["localhost", "::ffff:127.0.0.1"])
async def test_both_transports_are_on_every_address(host: str) -> None:
    service = Service(Settings(server=ServerSettings(host=host, grpc_port=0, http_port=0)))
    addresses = await service.start()
    for address in addresses.addresses:
        for port in (addresses.grpc_port, addresses.http_port):
            socket.create_connection((address, port)).close()
    await service.stop()
