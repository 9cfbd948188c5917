from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from rerankd.local.downloads import DownloadError, download_snapshot
from rerankd.local.onnx.weights import CROSS_ENCODER, MINILM, TOKENIZER
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalModelSettings, LocalSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ScoreSpace

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model as people export it."""
    (tmp_path / "own" / "onnx").mkdir(parents=True)
    shutil.copy(MINILM.locate(), tmp_path / "own" / "onnx" / "model.onnx")
    shutil.copy(TOKENIZER.locate(), tmp_path / "own" / "tokenizer.json")
    return tmp_path / "own"


async def _settle(provider: LocalProvider) -> None:
    await asyncio.gather(*provider._tasks)


def _settings(tmp_path: Path, **models: LocalModelSettings) -> LocalSettings:
    return LocalSettings(threads=1, static_table=False, cache_dir=str(tmp_path / "cache"), models=models)


async def test_a_directory_serves_as_a_model(tmp_path: Path, directory: Path) -> None:
    own = LocalModelSettings(kind="bi-encoder", path=str(directory), query_prefix="query: ", license="MIT")
    provider = LocalProvider(_settings(tmp_path, mine=own))
    before = provider.describe("mine")
    assert before is not None
    assert before.status == "loading"
    await provider.start()
    await _settle(provider)
    info = provider.describe("mine")
    assert info is not None
    assert (info.status, info.license, info.capabilities.score_space) == ("available", "MIT", ScoreSpace.COSINE)
    reply = await provider.rerank(ProviderCall(model="mine", query="cats", documents=["a cat", "a tax form"]))
    assert reply.scores[0] > reply.scores[1]
    await provider.close()


async def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = LocalModelSettings(kind="colbert", path=str(tmp_path / "empty"))
    nowhere = LocalModelSettings(kind="colbert", path=str(tmp_path / "nowhere"))
    provider = LocalProvider(_settings(tmp_path, empty=empty, nowhere=nowhere))
    await provider.start()
    await _settle(provider)
    details = {info.name: info.status_detail for info in provider.models() if info.status == "unavailable"}
    assert "no onnx/model.onnx and no model.onnx" in details["empty"]
    assert "no directory" in details["nowhere"]
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(ProviderCall(model="empty", query="a", documents=["b"]))
    assert caught.value.kind is AdapterErrorKind.UNAVAILABLE
    await provider.close()


async def test_a_graph_that_is_none_is_unavailable(tmp_path: Path, directory: Path) -> None:
    (directory / "onnx" / "model.onnx").write_bytes(b"not a graph")
    own = LocalModelSettings(kind="bi-encoder", path=str(directory))
    provider = LocalProvider(_settings(tmp_path, mine=own))
    await provider.start()
    await _settle(provider)
    info = provider.describe("mine")
    assert info is not None
    assert info.status == "unavailable"
    assert "cannot be loaded" in info.status_detail
    await provider.close()


async def test_hugging_face_models_are_fetched_at_start_by_commit(tmp_path: Path) -> None:
    asked: list[tuple[str, str, Sequence[str]]] = []

    async def download(repository: str, revision: str, patterns: Sequence[str]) -> Path:
        asked.append((repository, revision, patterns))
        target = tmp_path / "snapshot"
        target.mkdir()
        shutil.copy(CROSS_ENCODER.locate(), target / "model.onnx")
        shutil.copy(TOKENIZER.locate(), target / "tokenizer.json")
        return target

    own = LocalModelSettings(kind="cross-encoder", hugging_face="org/model", revision=REVISION, activation="none")
    provider = LocalProvider(_settings(tmp_path, mine=own), download=download)
    await provider.start()
    await _settle(provider)
    assert [(repository, revision) for repository, revision, _ in asked] == [("org/model", REVISION)]
    reply = await provider.rerank(ProviderCall(model="mine", query="cats", documents=["cats purr"]))
    assert reply.scores[0] > 1
    info = provider.describe("mine")
    assert info is not None
    assert info.capabilities.score_space is ScoreSpace.LOGIT
    await provider.close()


async def test_without_a_network_the_model_says_so(tmp_path: Path) -> None:
    async def download(repository: str, revision: str, patterns: Sequence[str]) -> Path:
        raise ConnectionError("no route")

    own = LocalModelSettings(kind="cross-encoder", hugging_face="org/model", revision=REVISION)
    provider = LocalProvider(_settings(tmp_path, mine=own), download=download)
    await provider.start()
    await _settle(provider)
    with pytest.raises(AdapterError, match="not cached and could not be downloaded") as caught:
        await provider.rerank(ProviderCall(model="mine", query="a", documents=["b"]))
    assert caught.value.kind is AdapterErrorKind.UNAVAILABLE
    await provider.close()


async def test_a_kind_the_graph_is_not_of_is_refused(tmp_path: Path, directory: Path) -> None:
    own = LocalModelSettings(kind="cross-encoder", path=str(directory))
    provider = LocalProvider(_settings(tmp_path, mine=own))
    await provider.start()
    await _settle(provider)
    info = provider.describe("mine")
    assert info is not None
    assert (info.status, info.status_detail) == ("unavailable", "the graph gives no logits, so it is no cross-encoder")
    await provider.close()


async def test_a_window_wider_than_the_graph_fails_the_call_alone(tmp_path: Path, directory: Path) -> None:
    own = LocalModelSettings(kind="bi-encoder", path=str(directory), max_tokens=2000)
    provider = LocalProvider(_settings(tmp_path, mine=own))
    await provider.start()
    await _settle(provider)
    with pytest.raises(AdapterError, match="could not read") as caught:
        await provider.rerank(ProviderCall(model="mine", query="cats", documents=["cat " * 1000]))
    assert caught.value.kind is AdapterErrorKind.BAD_RESPONSE
    await provider.close()


async def test_snapshot_that_is_cached_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "hub" / "models--org--model" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_text("{}")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert await download_snapshot("org/model", REVISION, ["tokenizer.json"]) == snapshot


async def test_failed_download_names_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"^LocalEntryNotFoundError$"):
        await download_snapshot("org/model", REVISION, ["tokenizer.json"])
