"""Which transport takes a request: proxies of the settings and of the environment, HTTP/2, and all the rest."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rerankd.http.environment_proxy import EnvironmentProxyTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import ClientName, TransportSettings
from rerankd.providers.factory import ProviderSettingsError, open_configured_transport
from rerankd_adapters.base import HttpRequest, HttpResponse


class Named:
    """Answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = TransportSettings()
        self.is_closed = False

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        return HttpResponse(status=200, body=self.name.encode())

    async def close(self) -> None:
        self.is_closed = True


async def chosen(url: str) -> str:
    transport = EnvironmentProxyTransport(Named("direct"), Named("proxied"))
    bodies = {(await transport.send(HttpRequest(url=url), 5)).body.decode() for _ in range(2)}
    (name,) = bodies
    return name


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


SOME = {"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost,.internal"}


@pytest.mark.parametrize(
    ("variables", "url", "name"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://host/", "proxied"),
        ({"http_proxy": "http://p:1"}, "HTTP://127.0.0.1/", "proxied"),
        ({"http_proxy": "http://p:1"}, "https://host/", "direct"),
        ({"all_proxy": "http://p:1"}, "http://host/", "proxied"),
        ({"all_proxy": "http://p:1"}, "https://host/", "proxied"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://host/", "direct"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://host/", "proxied"),
        (SOME, "http://tei.internal:80/", "direct"),
        (SOME, "http://user@localhost:80/", "direct"),
        (SOME, "http://host/", "proxied"),
        (SOME, "ftp://host/", "direct"),
        (SOME, "http://[::1/", "direct"),
        (SOME, "nonsense", "direct"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, "http://host/", "direct"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://10.1.2.3/", "proxied"),
    ],
)
async def test_proxies_of_the_environment(
    variables: dict[str, str], url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert await chosen(url) == name


async def test_closes_both() -> None:
    direct, proxied = Named("direct"), Named("proxied")
    await EnvironmentProxyTransport(direct, proxied).close()
    assert direct.is_closed
    assert proxied.is_closed


PROXY = {"proxy": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("client", "settings", "variables", "name"),
    [
        ("auto", {}, {}, "loop"),
        ("auto", PROXY, {}, "httpx"),
        ("auto", {"http2": True}, {}, "httpx"),
        ("auto", {}, SOME, "auto"),
        ("auto", {}, {"NO_PROXY": "*"}, "loop"),
        ("auto", {"uses_environment_proxy": False}, SOME, "loop"),
        ("auto", PROXY, SOME, "httpx"),
        ("loop", {}, SOME, "loop"),
        ("httpx", {}, {}, "httpx"),
    ],
)
async def test_rule(
    client: ClientName,
    settings: dict[str, object],
    variables: dict[str, str],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    transport = open_transport(TransportSettings(client=client, **settings))  # type: ignore[arg-type]  # given by name
    assert transport.name == name
    await transport.close()


async def test_without_httptools_httpx_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rerankd.http.transport_factory.find_spec", lambda name: None if name == "httptools" else object()
    )
    transport = open_transport()
    assert transport.name == "httpx"
    await transport.close()


@pytest.mark.parametrize(("key", "value"), [("proxy", "http://127.0.0.1:1"), ("http2", True)])
def test_loop_takes_neither_proxy_nor_http2(key: str, value: object) -> None:
    with pytest.raises(ProviderSettingsError, match=rf"transport.{key}: the client loop has none"):
        open_configured_transport(TransportSettings(client="loop", **{key: value}))  # type: ignore[arg-type]  # given by name
    settings = TransportSettings(**{"http2" if key == "http2" else key: value})  # type: ignore[arg-type]  # given by name
    with pytest.raises(ValueError, match="no proxy and has no HTTP/2"):
        open_transport(replace(settings, client="loop"))
