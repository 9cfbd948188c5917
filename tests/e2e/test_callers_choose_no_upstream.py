"""A caller cannot make the server call an address: not by a field, an option, a header or the name of a model.

No setting allows it either, so there is nothing to resolve and nothing to check: addresses are tried in every spelling
all the same, in every dialect and over gRPC, with a listener that would see the connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rerankd.gateway.dialects.registry import DIALECTS
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import AsyncRerankClient, InvalidRequest
from tests.support.dialect_bodies import request_of
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

NAMES = (
    *("api_base", "base_url", "apiBase", "endpoint", "url", "host", "proxy", "api_key", "headers", "extra_headers"),
    *("endpoint_url", "upstream", "callback", "webhook", "custom_llm_provider", "extra_body", "metadata"),
)
SPELLINGS = (
    "http://127.0.0.1:{port}/v1",
    "http://localhost:{port}/v1",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://2130706433:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
)
"""Addresses of the listener, of a cloud's metadata, and of what is not http."""
BODY = {"query": "a", "documents": ["a", "b"], "cache": "bypass"}


@pytest.fixture(scope="module")
def trap() -> Iterator[socket.socket]:
    """A listener that nothing may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_well) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[ServerProcess]:
    providers = {
        "mine": {"provider": "cohere", "base_url": upstream.url, "api_key": "upstream-key-0123456789"},
        "deep": {"provider": "deepinfra", "base_url": upstream.url, "api_key": "upstream-key-0123456789"},
    }
    # Headers of load balancers are among those it is sent: it would wait for the balancer before it ends.
    settings = {"RERANKD_PROVIDERS": json.dumps(providers), "RERANKD_SERVER__DRAIN_DELAY_S": "0"}
    process = ServerProcess(environment=settings)
    yield process
    assert process.stop() == 0


def url_of(trap: socket.socket) -> str:
    return f"http://127.0.0.1:{trap.getsockname()[1]}/v1"


def post(server: ServerProcess, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{server.http_url}/v1/rerank", json=body, headers=headers, trust_env=False, timeout=30)


def assert_nobody_came(trap: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        trap.accept()


def sent(upstream: Upstream) -> list[Received]:
    received = list(upstream.received)
    upstream.received.clear()
    return received


@pytest.mark.parametrize("name", NAMES)
def test_no_field_or_option_names_an_address(
    server: ServerProcess, upstream: Upstream, trap: socket.socket, name: str
) -> None:
    address = url_of(trap)
    value: Any = {"x-evil": address, "host": address} if name.endswith("headers") else address
    for more in ({name: value}, {"provider_options": {name: value}}, {"provider_options": {"cohere": {name: value}}}):
        answer = post(server, {**BODY, "model": "mine/rerank-v3.5", **more})
        assert answer.status_code in (200, 400)
    assert_nobody_came(trap)
    for request in sent(upstream):
        assert address not in request.body.decode()
        assert address not in str(request.headers)


def spelled(trap: socket.socket, number: int) -> str:
    return SPELLINGS[number % len(SPELLINGS)].format(port=trap.getsockname()[1])


def holding(name: str, address: str) -> Any:
    is_object = name in ("headers", "extra_headers", "extra_body", "metadata")
    return {"x-evil": address, "api_base": address, "host": address} if is_object else address


@pytest.mark.parametrize(("turn", "dialect"), list(enumerate(sorted(DIALECTS))))
def test_no_dialect_has_a_way_to_name_an_address(
    server: ServerProcess, upstream: Upstream, trap: socket.socket, turn: int, dialect: str
) -> None:
    """Every name of the list, at the top of the body and among options, each in one of the spellings."""
    addresses = []
    with httpx.Client(base_url=server.http_url, trust_env=False, timeout=30) as client:
        for number, name in enumerate(NAMES):
            address = spelled(trap, number + turn)
            addresses.append(address)
            value = holding(name, address)
            for where in (name, f"provider_options.{name}", f"provider_options.cohere.{name}"):
                path, body = request_of(dialect, "mine/rerank-v3.5", {where: value})
                answer = client.post(path, json=body, headers={name: address})
                assert answer.status_code in (200, 400, 422), answer.text
    assert_nobody_came(trap)
    for request in sent(upstream):
        shown = f"{request.path} {request.headers} {request.body.decode()}"
        assert not any(address in shown for address in addresses)


@pytest.mark.parametrize("turn", range(3))
async def test_no_option_of_grpc_names_an_address(
    server: ServerProcess, upstream: Upstream, trap: socket.socket, turn: int
) -> None:
    async with AsyncRerankClient(server.grpc_address) as client:
        for number, name in enumerate(NAMES):
            address = spelled(trap, 3 * number + turn)
            for options in ({name: holding(name, address)}, {"cohere": {name: holding(name, address)}}):
                with contextlib.suppress(InvalidRequest):
                    await client.rerank("a", ["a", "b"], model="mine/rerank-v3.5", provider_options=options)
    assert_nobody_came(trap)
    for request in sent(upstream):
        assert "127.0.0.1:" not in request.body.decode()
        assert "x-evil" not in str(request.headers)


def test_no_header_names_an_address(server: ServerProcess, upstream: Upstream, trap: socket.socket) -> None:
    address = url_of(trap)
    names: tuple[str, ...] = (
        "x-api-base",
        "x-base-url",
        "x-upstream",
        "x-target-url",
        "x-portkey-custom-host",
        "forwarded",
        "via",
    )
    names += ("x-forwarded-host", "x-original-url", "x-rewrite-url")
    assert post(server, {**BODY, "model": "mine/rerank-v3.5"}, dict.fromkeys(names, address)).status_code == 200
    assert_nobody_came(trap)
    (request,) = sent(upstream)
    assert address not in str(request.headers)


@pytest.mark.parametrize("provider", ["mine", "deep"])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "@{host}/x",
        "//{host}/x",
        "../../..//{host}",
        "x@{host}",
        "x?url={}",
        "x#{}",
        "x\r\nhost: {host}",
        "file:///etc/passwd",
        "gopher://{host}/",
    ],
)
def test_no_name_of_a_model_is_an_address(
    server: ServerProcess, upstream: Upstream, trap: socket.socket, provider: str, form: str
) -> None:
    address = url_of(trap)
    host = f"127.0.0.1:{trap.getsockname()[1]}"
    name = form.replace("{host}", host).replace("{}", address)
    for model in (f"{provider}/{name}", name):
        assert post(server, {**BODY, "model": model}).status_code in (200, 400, 404, 502)
    assert_nobody_came(trap)
    for request in sent(upstream):
        assert request.headers["host"] == upstream.url.removeprefix("http://")
        assert ".." not in request.path.split("/")


def test_redirects_of_a_provider_are_not_followed(trap: socket.socket) -> None:
    def redirect(_request: Received) -> ScriptedResponse:
        return ScriptedResponse(status=307, headers={"location": url_of(trap)}, body=b"")

    with Upstream(redirect) as moving:
        provider = {"provider": "cohere", "base_url": moving.url, "api_key": "upstream-key-0123456789"}
        process = ServerProcess(environment={"RERANKD_PROVIDERS": json.dumps({"moving": provider})})
        assert post(process, {**BODY, "model": "moving/rerank-v3.5"}).status_code >= 400
        assert_nobody_came(trap)
        assert process.stop() == 0
