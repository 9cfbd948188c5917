"""Names of providers and models, and what every declaration must hold."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rerankd.console.errors import CommandError
from rerankd.console.providers.listing import show_providers
from rerankd.providers.factory import ProviderSettingsError, find_declared
from rerankd.providers.settings import ProviderSettings
from rerankd_adapters import registry
from rerankd_adapters.base import AdapterError, HttpAdapter, Scheme, Scoring
from rerankd_adapters.chat_api import LABEL_READING
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.providers.vllm import VLLM
from rerankd_adapters.registry import find_provider, open_adapter, provider_names


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("cohere", "cohere"),
        ("vllm", "vllm"),
        ("hosted_vllm", "vllm"),
        ("nvidia_nim", "nvidia_nim"),
        ("together_ai", "together"),
        ("jina_ai", "jina"),
        ("huggingface", "tei"),
        ("azure", "azure_ai"),
        ("vertex_ai", "vertex"),
        ("litellm", "litellm_proxy"),
    ],
)
def test_providers_have_the_names_that_litellm_gives_them(name: str, provider: str) -> None:
    assert named(name) == provider


@pytest.mark.parametrize("name", ["", "nobody", "Cohere"])
def test_names_of_no_provider(name: str) -> None:
    assert find_provider(name) is None


def named(name: str) -> str:
    found = find_provider(name)
    assert found is not None
    return found.name


@pytest.mark.parametrize("name", provider_names())
def test_declaration(name: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    assert provider.name == name
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", provider.checked)
    assert provider.reference.startswith("https://")
    assert provider.is_grpc or isinstance(open_adapter(provider), HttpAdapter)
    assert provider.capabilities.source or not provider.adapter
    assert provider.adapter or provider.chat
    assert all(facts.source for facts in provider.models.values())
    assert all(price.source and price.date and price.usd_per_million > 0 for price in provider.prices)
    assert {price.unit for price in provider.prices} <= {"token", "search_unit"}
    assert all(quirk.endswith(".") for quirk in provider.quirks)
    if chat := provider.chat:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", chat.checked)
        assert chat.traits[-1].models == "*"
        assert all(traits.readings[-1] is LabelReading.TEXT for traits in chat.traits)
        assert all(price.source and price.date and price.usd_per_million > 0 for price in chat.prices)
        assert all(quirk.endswith(".") for quirk in chat.quirks)
        assert LABEL_READING in provider.options
    if provider.key_is_required:
        assert provider.key_variables
        assert all(way.scheme is not Scheme.NONE for way in provider.authentication)


def test_aliases_are_unique() -> None:
    providers = [find_provider(name) for name in provider_names()]
    names = [name for provider in providers if provider for name in (provider.name, *provider.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", provider_names())
@pytest.mark.parametrize("model", ["jina-reranker-v3", "jinaai/jina-reranker-v3.5", "x/jina-reranker-v3-GGUF"])
def test_jina_v3_is_listwise_wherever_it_is_served(name: str, model: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    assert provider.capabilities_of(model).scoring is Scoring.LISTWISE


def test_unknown_models_are_not_split() -> None:
    assert VLLM.capabilities_of("reranker").scoring is Scoring.UNKNOWN


def test_what_is_known_of_a_model_adds_to_what_is_known_of_the_provider() -> None:
    facts = VLLM.capabilities_of("BAAI/bge-reranker-v2-m3")
    assert facts.scoring is Scoring.POINTWISE
    assert facts.max_tokens_per_document == 8192
    assert facts.truncation_default is VLLM.capabilities.truncation_default


@pytest.mark.parametrize(
    ("name", "model", "scoring"),
    [
        ("openrouter", "BAAI/bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("openrouter", "jina-reranker-v3", Scoring.LISTWISE),
        ("litellm_proxy", "bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("opper", "bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("opper", "berget/bge-reranker-v2-m3", Scoring.POINTWISE),
    ],
)
def test_a_model_that_several_servers_answer_is_not_split(name: str, model: str, scoring: Scoring) -> None:
    provider = find_provider(name)
    assert provider is not None
    facts = provider.capabilities_of(model)
    assert facts.scoring is scoring
    assert scoring is Scoring.LISTWISE or facts.max_tokens_per_document == 8192


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Installs a package, as far as the registry can tell: a module on the path, metadata with entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    cached = (
        registry._third_party,
        registry.provider_names,
        registry.broken_providers,
        registry._declaration,
        registry._aliases,
    )

    def put(name: str, source: str, target: str) -> None:
        module = f"fake_{name}"
        monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.invalidate_caches()
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\n{name} = {module}:{target}\n")
        for each in cached:
            each.cache_clear()

    yield put
    for each in cached:
        each.cache_clear()


ACME = """
from dataclasses import replace
from rerankd_adapters.providers.vllm import VLLM
ACME = replace(VLLM, name="acme", aliases=("acme_ai",), adapter="{adapter}")
"""


def test_third_parties_come_by_entry_point(install: Callable[..., None]) -> None:
    install("acme", ACME.format(adapter=VLLM.adapter), "ACME")
    assert "acme" in provider_names()
    assert named("acme_ai") == "acme"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import module_that_is_not_there", "cannot be imported: there is no module module_that_is_not_there"),
        ("raise RuntimeError('a secret')", "cannot be imported: RuntimeError"),
        ("this is no python", "cannot be imported: SyntaxError"),
        ("", "cannot be imported: AttributeError"),
        ("ACME = 'text'", "is not a Provider"),
    ],
)
def test_a_broken_package_breaks_no_other(install: Callable[..., None], source: str, problem: str) -> None:
    install("acme", ACME.format(adapter=VLLM.adapter), "ACME")
    install("wrong", source, "ACME")
    assert registry.broken_providers() == {"wrong": f"fake_wrong:ACME {problem}"}
    assert "wrong" not in provider_names()
    assert find_provider("wrong") is None
    assert named("hosted_vllm") == "vllm"
    assert named("acme_ai") == "acme"
    with pytest.raises(
        ProviderSettingsError, match=r"^providers\.wrong: the provider wrong is broken: fake_wrong:ACME"
    ):
        find_declared("wrong", ProviderSettings())


def test_a_package_cannot_replace_a_provider_of_ours(install: Callable[..., None]) -> None:
    install("vllm", "raise RuntimeError", "ACME")
    assert find_provider("vllm") is VLLM
    assert registry.broken_providers() == {}


def test_an_adapter_that_cannot_be_imported(install: Callable[..., None]) -> None:
    install("acme", ACME.format(adapter="fake_nowhere:Adapter"), "ACME")
    acme = find_provider("acme")
    assert acme is not None
    with pytest.raises(AdapterError) as refused:
        open_adapter(acme)
    assert refused.value.message == "fake_nowhere:Adapter cannot be imported: there is no module fake_nowhere"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_what_is_broken_is_shown(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    install("wrong", "raise RuntimeError", "ACME")
    assert show_providers(None, None, is_checked=False, is_json=bool(arguments)) == 0
    shown = capsys.readouterr().out
    assert "wrong" in shown
    assert "broken: fake_wrong:ACME cannot be imported: RuntimeError" in shown
    with pytest.raises(CommandError, match="the provider wrong is broken"):
        show_providers("wrong", None, is_checked=False, is_json=False)


def test_names_that_are_no_providers_are_not_kept() -> None:
    for number in range(1000):
        assert find_provider(f"nobody-{number}") is None
    assert registry._declaration.cache_info().currsize <= len(provider_names())
