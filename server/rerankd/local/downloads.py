"""The operator's own models: a directory, or a repository on Hugging Face at a pinned commit."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rerankd.local.onnx.weights import DiskFile, WeightsError
from rerankd.local.scheduler import run_blocking
from rerankd.local.settings import LocalModelSettings
from rerankd.local.specs import EncoderKind, ModelSpec

_GRAPHS = ("onnx/model.onnx", "model.onnx")

_POLL_S = 0.1

Download = Callable[[str, str, Sequence[str]], Awaitable[Path]]
"""Fetches files of a repository at a commit, given as name patterns; returns their directory."""


class DownloadError(Exception):
    """The files could not be downloaded; the message names the error's type."""


async def resolve_model(name: str, settings: LocalModelSettings, download: Download | None = None) -> ModelSpec:
    """Find a model's files, downloading them when they are not cached. Cancelling the task ends the download.

    Raises:
        WeightsError: When files are missing or cannot be downloaded.
        PoolClosedError: When the process is ending.
    """
    if settings.path is not None:
        return await run_blocking(_find_in_directory, name, settings, settings.path)
    directory = await _fetch(settings, download or download_snapshot)
    source = f"huggingface.co/{settings.hugging_face} at {(settings.revision or '')[:12]}"
    return await run_blocking(_find_files, name, settings, directory, source)


def _find_in_directory(name: str, settings: LocalModelSettings, path: str) -> ModelSpec:
    directory = Path(path).expanduser()
    if not directory.is_dir():
        raise WeightsError(f"models.{name}.path is no directory: {path}")
    return _find_files(name, settings, directory, f"directory {directory.name}")


def _find_files(name: str, settings: LocalModelSettings, directory: Path, source: str) -> ModelSpec:
    graphs = (settings.file,) if settings.file else _GRAPHS
    graph = next((directory / relative for relative in graphs if (directory / relative).is_file()), None)
    if graph is None:
        raise WeightsError(f"model {name} has no {' and no '.join(graphs)} in {source}")
    tokenizer = next(
        (folder / "tokenizer.json" for folder in (directory, graph.parent) if (folder / "tokenizer.json").is_file()),
        None,
    )
    if tokenizer is None:
        raise WeightsError(f"model {name} has no tokenizer.json in {source}")
    stat = graph.stat()
    revision = f"{source} {graph.name} {stat.st_size} {stat.st_mtime_ns} {settings}"
    return dataclasses.replace(describe_model(name, settings, graph, tokenizer, source), revision=revision)


def describe_model(name: str, settings: LocalModelSettings, graph: Path, tokenizer: Path, source: str) -> ModelSpec:
    """Put the operator's settings and the files found into one description."""
    return ModelSpec(
        name=name,
        kind=EncoderKind(settings.kind),
        matches_query_specials=settings.kind == "colbert",
        network=DiskFile(graph),
        tokenizer=DiskFile(tokenizer),
        window_tokens=settings.max_tokens,
        pooling=settings.pooling,
        activation=settings.activation,
        query_prefix=settings.query_prefix,
        document_prefix=settings.document_prefix,
        takes_instruction=EncoderKind(settings.kind) is EncoderKind.BI_ENCODER,
        description=settings.description,
        license=settings.license,
        source=source,
    )


async def download_snapshot(repository: str, revision: str, patterns: Sequence[str]) -> Path:
    """Fetch files with huggingface_hub, which caches them by commit and needs no network for cached ones.

    It runs in a process of its own: that can be ended in the middle of gigabytes when ours ends, a thread cannot.

    Raises:
        ImportError: huggingface_hub is not installed.
        DownloadError: With the name of the error that huggingface_hub raised.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ImportError(name="huggingface_hub")
    process = _start_download(repository, revision, patterns)
    try:
        while process.poll() is None:  # noqa: ASYNC110 - asyncio's subprocesses need a child watcher of the program's
            await asyncio.sleep(_POLL_S)
    finally:
        process.kill()
        output, _ = process.communicate()
    if process.returncode != 0:
        raise DownloadError(output.strip() or f"exit code {process.returncode}")
    return Path(output.splitlines()[-1])


def _start_download(repository: str, revision: str, patterns: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own module; the settings are checked for ids and commits
        [sys.executable, "-P", "-m", "rerankd.local.download_process", repository, revision, *patterns],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for us; we end it
    )


async def _fetch(settings: LocalModelSettings, download: Download) -> Path:
    repository, revision = settings.hugging_face or "", settings.revision or ""
    graphs = (settings.file,) if settings.file else _GRAPHS
    # Weights over 2 GB lie beside their graph.
    patterns = [*graphs, *(f"{graph}_data" for graph in graphs), "tokenizer.json"]
    try:
        return await download(repository, revision, patterns)
    except ImportError:
        raise WeightsError("package huggingface_hub is not installed (pip install 'rerankd[local]')") from None
    except Exception as error:
        kind = str(error) if isinstance(error, DownloadError) else type(error).__name__
        raise WeightsError(
            f"{repository} at {revision[:12]} is not cached and could not be downloaded ({kind}); "
            "check the id, the commit and the network, or give a path"
        ) from error
