"""Signs of a load balancer, and the drain delay that follows from them."""

from __future__ import annotations

import ctypes
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rerankd.gateway.listener.http_middleware import HttpMiddleware
from rerankd.http.settings import ListenerSettings
from rerankd.rpc.health import Health
from rerankd.serving.banner import announce
from rerankd.serving.listening import Addresses
from rerankd.serving.load_balancer import BALANCED_DRAIN_DELAY_S, LoadBalancerSigns
from rerankd.settings import ServerSettings, Settings, SettingsError, load_settings
from rerankd.web.app import create_web_app

ELSEWHERE = [
    "10.0.0.7",
    "::ffff:10.0.0.7",
    "fd00::7",
    "ipv4:10.0.0.7:4711",
    "ipv6:[fd00::7]:80",
    "ipv6:%5Bfd00::7%5D:80",
]
HERE = [
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "ipv4:127.0.0.1:4711",
    "ipv6:[::1]:80",
    "ipv6:%5B::1%5D:80",
    "unix:/a",
    "",
]


@pytest.mark.parametrize("peer", ELSEWHERE)
def test_a_health_check_from_elsewhere_is_a_sign(peer: str) -> None:
    signs = LoadBalancerSigns({})
    signs.note_health_check(peer)
    assert signs.sign == "another machine checks the health"
    assert signs.drain_delay_s(None) == BALANCED_DRAIN_DELAY_S


@pytest.mark.parametrize("peer", HERE)
def test_a_health_check_of_this_machine_is_none(peer: str) -> None:
    signs = LoadBalancerSigns({})
    signs.note_health_check(peer)
    assert (signs.sign, signs.drain_delay_s(None)) == ("", 0.0)


@pytest.mark.parametrize(("variable", "is_sign"), [("10.96.0.1", True), ("", False), (None, False)])
def test_kubernetes_is_a_sign(variable: str | None, is_sign: bool) -> None:
    environment = {} if variable is None else {"KUBERNETES_SERVICE_HOST": variable}
    assert bool(LoadBalancerSigns(environment).sign) == is_sign


def test_workers_share_what_one_has_seen() -> None:
    shared = ctypes.c_bool(False)
    one, other = LoadBalancerSigns({}, shared), LoadBalancerSigns({}, shared)
    one.note_forwarded()
    assert one.sign == "calls carry X-Forwarded-For or Forwarded"
    assert other.sign == "another worker saw a load balancer"


@pytest.mark.parametrize("configured_s", [0.0, 3.0])
def test_a_configured_delay_is_kept(configured_s: float) -> None:
    signs = LoadBalancerSigns({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert signs.drain_delay_s(configured_s) == configured_s


def test_the_delay_is_not_negative() -> None:
    assert load_settings().server.drain_delay_s is None
    with pytest.raises(SettingsError, match="drain_delay_s must not be negative"):
        load_settings(overrides={"server.drain_delay_s": -1})


def web(signs: LoadBalancerSigns) -> HttpMiddleware:
    app = create_web_app(
        health=lambda: "serving",
        version="0",
        metrics=lambda _accept: (b"", "text/plain"),
        on_health_check=signs.note_health_check,
    )

    async def with_request_id(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"request_id": "r"}}, receive, send)

    return HttpMiddleware(with_request_id, ListenerSettings(), signs.note_forwarded)


@pytest.mark.parametrize(
    ("path", "client", "headers", "is_sign"),
    [
        ("/ready", "10.0.0.7", {}, True),
        ("/healthz", "10.0.0.7", {}, True),
        ("/ready", "127.0.0.1", {}, False),
        ("/", "10.0.0.7", {}, False),
        ("/", "127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, True),
        ("/", "127.0.0.1", {"forwarded": "for=192.0.2.1"}, True),
    ],
)
async def test_signs_over_http(path: str, client: str, headers: dict[str, str], is_sign: bool) -> None:
    signs = LoadBalancerSigns({})
    transport = httpx.ASGITransport(web(signs), client=(client, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.get(path, headers=headers)).status_code == 200
    assert bool(signs.sign) == is_sign


async def test_responses_while_draining_close_the_connection() -> None:
    middleware = web(LoadBalancerSigns({}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://test") as http:
        assert "connection" not in (await http.get("/")).headers
        middleware.drain()
        assert (await http.get("/")).headers["connection"] == "close"


async def test_checks_over_grpc_tell_their_peer() -> None:
    peers: list[str] = []
    server = grpc.aio.server()
    health = Health(["a.Service"], peers.append)
    health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await health.start()
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest())
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await health.serve()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        health.end_watches()
        with pytest.raises(grpc.aio.AioRpcError, match="the server stops"):
            await watch.read()
        left = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await left.read()).status == health_pb2.HealthCheckResponse.SERVING
        left.cancel()
    await server.stop(0)
    assert [peer.partition("127.0.0.1:")[0] for peer in peers] == ["ipv4:", "ipv4:", "ipv4:"]


@pytest.mark.parametrize(
    ("configured_s", "host", "shown"),
    [
        (None, "", "close at once on SIGTERM, after 10 s once a load balancer is seen"),
        (None, "10.96.0.1", "close 10 s after SIGTERM: KUBERNETES_SERVICE_HOST is set"),
        (2.5, "10.96.0.1", "close 2.5 s after SIGTERM"),
    ],
)
def test_the_summary_says_the_delay(
    configured_s: float | None,
    host: str,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    settings = Settings(server=ServerSettings(drain_delay_s=configured_s))
    announce(settings, Addresses("localhost", ("127.0.0.1",), 1, 2))
    assert shown in capsys.readouterr().out
