"""The operator's own models: a directory, or a repository on Hugging Face at a pinned commit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from rerankd.local.options import LocalModelOptions
from rerankd.local.specs import Kind, ModelSpec
from rerankd.local.weights import DiskFile, WeightsError

_GRAPHS = ("onnx/model.onnx", "model.onnx")

Download = Callable[[str, str, Sequence[str]], Path]
"""Fetches files of a repository at a commit, given as name patterns; returns their directory."""


def resolve_model(name: str, options: LocalModelOptions, download: Download | None = None) -> ModelSpec:
    """Find a model's files, downloading them when they are not cached. Blocks; never call it during a rerank call.

    Raises:
        WeightsError: When files are missing or cannot be downloaded.
    """
    if options.path is not None:
        directory = Path(options.path).expanduser()
        source = f"directory {directory.name}"
        if not directory.is_dir():
            raise WeightsError(f"models.{name}.path is no directory: {options.path}")
    else:
        directory = _fetch(options, download or download_snapshot)
        source = f"huggingface.co/{options.hugging_face} at {(options.revision or '')[:12]}"
    graphs = (options.file,) if options.file else _GRAPHS
    graph = next((directory / relative for relative in graphs if (directory / relative).is_file()), None)
    if graph is None:
        raise WeightsError(f"model {name} has no {' and no '.join(graphs)} in {source}")
    tokenizer = next(
        (place / "tokenizer.json" for place in (directory, graph.parent) if (place / "tokenizer.json").is_file()),
        None,
    )
    if tokenizer is None:
        raise WeightsError(f"model {name} has no tokenizer.json in {source}")
    stat = graph.stat()
    revision = f"{source} {graph.name} {stat.st_size} {stat.st_mtime_ns} {options}"
    return dataclasses.replace(describe_model(name, options, graph, tokenizer, source), revision=revision)


def describe_model(name: str, options: LocalModelOptions, graph: Path, tokenizer: Path, source: str) -> ModelSpec:
    """Put the operator's settings and the files found into one description."""
    return ModelSpec(
        name=name,
        kind=Kind(options.kind),
        matches_query_specials=options.kind == "colbert",
        network=DiskFile(graph),
        tokenizer=DiskFile(tokenizer),
        window_tokens=options.max_tokens,
        pooling=options.pooling,
        activation=options.activation,
        query_prefix=options.query_prefix,
        document_prefix=options.document_prefix,
        takes_instruction=Kind(options.kind) is Kind.BI_ENCODER,
        description=options.description,
        license=options.license,
        source=source,
    )


def download_snapshot(repository: str, revision: str, patterns: Sequence[str]) -> Path:
    """Fetch files with huggingface_hub, which caches them by commit and needs no network for cached ones."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))


def _fetch(options: LocalModelOptions, download: Download) -> Path:
    repository, revision = options.hugging_face or "", options.revision or ""
    graphs = (options.file,) if options.file else _GRAPHS
    # Weights over 2 GB lie beside their graph.
    patterns = [*graphs, *(f"{graph}_data" for graph in graphs), "tokenizer.json"]
    try:
        return download(repository, revision, patterns)
    except ImportError:
        raise WeightsError("package huggingface_hub is not installed (pip install 'rerankd[local]')") from None
    except Exception as error:
        kind = type(error).__name__
        raise WeightsError(
            f"{repository} at {revision[:12]} is not cached and could not be downloaded ({kind}); "
            "check the id, the commit and the network, or give a path"
        ) from error
