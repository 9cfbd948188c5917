"""Addresses, limits, declarations, and descriptors that keep to themselves."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Provider
from rerankd_adapters.grpc_upstream.channel import Address, ChannelSettings, read_address
from rerankd_adapters.grpc_upstream.credentials import metadata_of
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.providers.kserve import KSERVE
from rerankd_adapters.providers.tei_grpc import TEI_GRPC
from rerankd_adapters.providers.vertex_grpc import VERTEX_GRPC
from scripts.generate_upstream import ROOT, TARGET, render_upstream
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, call_of, open_upstream

RERANK = find_method("tei.v1.Rerank", "Rerank")


@pytest.mark.parametrize(
    ("url", "target", "is_tls"),
    [
        ("grpc://tei", "dns:///tei:3000", False),
        ("grpc://tei:50051/", "dns:///tei:50051", False),
        ("tei:50051", "dns:///tei:50051", False),
        ("http://tei:80", "dns:///tei:80", False),
        ("grpcs://tei.example", "dns:///tei.example:443", True),
        ("https://tei.example:8443", "dns:///tei.example:8443", True),
        ("grpc://[::1]:1", "dns:///[::1]:1", False),
    ],
)
def test_addresses(url: str, target: str, is_tls: bool) -> None:
    address = read_address(url, 3000)
    assert (address.target, address.is_tls) == (target, is_tls)


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "grpc://x/path", "grpc://me:pw@x", "grpc://x:port", "grpc://x:99999", "grpc://x?a=b"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(AdapterError, match="grpcs://host:port") as caught:
        read_address(url, 3000)
    assert caught.value.kind is AdapterErrorKind.REJECTED
    assert "pw" not in caught.value.message


def test_headers_that_grpc_would_quote() -> None:
    with pytest.raises(AdapterError, match="the value of authorization") as caught:
        metadata_of({"authorization": "Bearer secret\nsecret"})
    assert "secret" not in caught.value.message


async def test_message_larger_than_the_limit(server: FakeUpstream) -> None:
    server.answer(RERANK, RERANK.response(ranks=[{"index": index, "score": 1} for index in range(200)]))
    settings = ChannelSettings(max_message_bytes=500, uses_environment_proxy=False)
    upstream = open_upstream(TEI_GRPC, server.base_url, settings=lambda: settings)
    with pytest.raises(AdapterError) as caught:
        await upstream.rerank(call_of(["a"]))
    assert caught.value.kind is AdapterErrorKind.BAD_RESPONSE
    with pytest.raises(AdapterError) as caught:
        await upstream.rerank(call_of(["a" * 1000]))
    assert caught.value.kind is AdapterErrorKind.REJECTED
    await upstream.close()


@pytest.mark.parametrize("provider", [TEI_GRPC, VERTEX_GRPC, KSERVE], ids=lambda provider: provider.name)
def test_declarations(provider: Provider) -> None:
    module, _, name = provider.adapter.partition(":")
    assert hasattr(import_module(module), name)
    assert provider.checked == "2026-11-21"
    assert provider.capabilities.source
    assert all(quirk.endswith(".") for quirk in provider.quirks)
    assert all(text.endswith(".") for text in provider.options.values())
    assert set(provider.option_variables) <= set(provider.options)


def test_committed_descriptors_are_those_of_the_protos() -> None:
    assert (ROOT / TARGET).read_bytes() == render_upstream(ROOT)


def test_default_pool_stays_free_for_the_packages_of_others() -> None:
    for service in ("tei.v1.Rerank", "inference.GRPCInferenceService", "google.cloud.discoveryengine.v1.RankService"):
        with pytest.raises(KeyError):
            descriptor_pool.Default().FindServiceByName(service)


def test_grpc_is_imported_by_the_grpc_modules_alone() -> None:
    folder = Path(str(import_module("rerankd_adapters").__file__)).parent
    importing = [file for file in folder.rglob("*.py") if "\nimport grpc" in file.read_text(encoding="utf-8")]
    assert importing
    assert {file.parent.name for file in importing} == {"grpc_upstream"}


@pytest.mark.parametrize("base_url", ["unix:/run/tei.sock", "unix:///run/tei.sock"])
def test_address_in_the_file_system(base_url: str) -> None:
    assert read_address(base_url, 3000) == Address("unix:/run/tei.sock", is_tls=False)


@pytest.mark.parametrize("base_url", ["unix:", "unix:relative.sock", "unix://"])
def test_address_that_is_no_socket(base_url: str) -> None:
    with pytest.raises(AdapterError):
        read_address(base_url, 3000)
