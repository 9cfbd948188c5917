"""The pages of docs/providers/."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import msgspec
import pytest
import yaml

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.factory import provider_problems
from rerankd.providers.settings import ProviderSettings
from rerankd_adapters.base import Provider
from scripts import generate, generate_provider_docs
from scripts.generator.provider_pages import settings_example

PROVIDERS = generate_provider_docs.list_providers()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = open_transport(TransportSettings(client="httpx", uses_environment_proxy=False))
    yield opened
    await opened.close()


def test_committed_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    files = generate_provider_docs.render_files()
    stale = [path for path in generate_provider_docs.list_pages() if path not in files]
    assert generate.report_differences(files, stale) == 0, capsys.readouterr().out


@pytest.mark.parametrize("provider", PROVIDERS, ids=[provider.name for provider in PROVIDERS])
async def test_the_example_can_be_used(provider: Provider, transport: HttpTransport) -> None:
    text = "\n".join(settings_example(provider))
    environ = {
        name: "https://10.0.0.1" if name in provider.base_url_variables else "value"
        for name in re.findall(r"\$\{(\w+)\}", text)
    }
    filled = re.sub(r"\$\{(\w+)\}", lambda found: environ[found[1]], text)
    settings = msgspec.convert(yaml.safe_load(filled)["providers"], dict[str, ProviderSettings])
    assert await provider_problems(settings, environ, transport) == []


@pytest.mark.parametrize("provider", PROVIDERS, ids=[provider.name for provider in PROVIDERS])
def test_everything_declared_is_on_the_page(provider: Provider) -> None:
    page = generate_provider_docs.render_files()[f"docs/providers/{provider.name}.md"]
    facts = (
        *provider.aliases,
        *provider.key_variables,
        *provider.base_url_variables,
        *provider.models,
        *provider.options,
        *provider.quirks,
        *(price.date for price in provider.prices),
        provider.reference,
        provider.checked,
    )
    assert [fact for fact in facts if fact not in page] == []
