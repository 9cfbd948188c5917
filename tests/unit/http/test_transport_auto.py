"""Plain HTTP without a proxy goes over the event loop, everything else over the other transport."""

from __future__ import annotations

import pytest

from rerankd.http.transport import TransportSettings, open_transport
from rerankd.http.transport_auto import AutoTransport
from rerankd.providers.opening import ProviderSettingsError, open_configured_transport
from rerankd.providers.settings import TransportOptions
from rerankd_adapters.base import HttpRequest, HttpResponse


class Named:
    """Answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        return HttpResponse(status=200, body=self.name.encode())

    async def close(self) -> None:
        self.is_closed = True


async def chosen(url: str, *, uses_environment_proxy: bool = True) -> str:
    transport = AutoTransport(Named("loop"), Named("general"), uses_environment_proxy=uses_environment_proxy)
    bodies = {(await transport.send(HttpRequest(url=url), 5)).body.decode() for _ in range(2)}
    (name,) = bodies
    return name


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host:8080/rerank", "loop"),
        ("HTTP://host/rerank", "loop"),
        ("http://user:password@[::1]:80/", "loop"),
        ("https://host/rerank", "general"),
        ("ftp://host/", "general"),
        ("http://[::1/", "general"),
        ("nonsense", "general"),
    ],
)
async def test_without_a_proxy(url: str, name: str) -> None:
    assert await chosen(url) == name


@pytest.mark.parametrize(
    ("variables", "url", "name"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://host/", "general"),
        ({"http_proxy": "http://p:1"}, "http://127.0.0.1/", "general"),
        ({"all_proxy": "http://p:1"}, "http://host/", "general"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://host/", "loop"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://host/", "general"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost,.internal"}, "http://tei.internal:80/", "loop"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost,.internal"}, "http://user@localhost:80/", "loop"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost,.internal"}, "http://host/", "general"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, "http://host/", "loop"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://10.1.2.3/", "general"),
    ],
)
async def test_proxies_of_the_environment(
    variables: dict[str, str], url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert await chosen(url) == name
    expected = "general" if url.startswith("https") else "loop"
    assert await chosen(url, uses_environment_proxy=False) == expected


async def test_urls_are_forgotten() -> None:
    transport = AutoTransport(Named("loop"), Named("general"), uses_environment_proxy=False)
    for number in range(3000):
        await transport.send(HttpRequest(url=f"http://host/models/{number}"), 5)
    assert len(transport._chosen) <= 1024


async def test_closes_both() -> None:
    plain, general = Named("loop"), Named("general")
    await AutoTransport(plain, general, uses_environment_proxy=False).close()
    assert plain.is_closed
    assert general.is_closed


@pytest.mark.parametrize(("proxy", "name"), [(None, "auto"), ("http://127.0.0.1:1", "pyqwest")])
async def test_all_goes_through_a_proxy_of_the_settings(proxy: str | None, name: str) -> None:
    transport = open_transport("auto", TransportSettings(proxy=proxy))
    assert transport.name == name
    await transport.close()


def test_loop_takes_no_proxy() -> None:
    with pytest.raises(ProviderSettingsError, match=r"transport.proxy: the client loop takes no proxy"):
        open_configured_transport(TransportOptions(client="loop", proxy="http://127.0.0.1:1"))
