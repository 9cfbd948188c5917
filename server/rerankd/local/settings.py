"""Settings of the provider `local`. Cheap to import: no numpy, no onnxruntime."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import msgspec

_COMMIT = re.compile(r"[0-9a-f]{40}")


class LocalModelSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One model of the operator's own, as ONNX: exactly one of `path` and `hugging_face` is given.

    Raises:
        ValueError: When neither or both are given, or a Hugging Face id has no pinned revision.
    """

    kind: Literal["cross-encoder", "bi-encoder", "colbert"]
    """What the network computes: one logit a pair, one vector a text, or one vector a token."""
    path: str | None = None
    """Directory with `model.onnx` or `onnx/model.onnx`, and `tokenizer.json`."""
    hugging_face: str | None = None
    """Hugging Face id, such as `cross-encoder/ms-marco-MiniLM-L6-v2`; downloaded at start, never during a call."""
    revision: str | None = None
    """Commit of the Hugging Face repository, 40 hexadecimal digits: weights must not change by themselves."""
    file: str | None = None
    """The ONNX file inside the directory or repository, such as `onnx/model_quantized.onnx`."""
    max_tokens: int = 512
    """The model's window in tokens, special tokens included; for a cross-encoder query and document together."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a bi-encoder makes one vector of its token vectors."""
    activation: Literal["sigmoid", "none"] = "sigmoid"
    """What a cross-encoder's logit goes through; `none` when the graph ends in its own activation."""
    query_prefix: str = ""
    """Text put before each query, such as `query: `; for a bi-encoder a call's instruction replaces it."""
    document_prefix: str = ""
    """Text put before each document, such as `passage: `."""
    description: str = ""
    """Shown by `rerankd models`."""
    license: str = ""
    """SPDX identifier of the weights' licence, shown by `rerankd models`."""

    def __post_init__(self) -> None:
        """Refuse what could not be loaded."""
        if (self.path is None) == (self.hugging_face is None):
            raise ValueError("give exactly one of `path` and `hugging_face`")
        if self.hugging_face is not None and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError("`hugging_face` needs `revision`: a commit of 40 hexadecimal digits")
        if self.max_tokens < 16:
            raise ValueError("`max_tokens` must be at least 16")


class LocalSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Settings of the provider `local`.

    Raises:
        ValueError: When a number is out of range.
    """

    enabled: bool = True
    """Whether the models embedded in the process can be named."""
    preload: bool = True
    """Load `local/default` before the service is ready; if not, the first call that names it loads it."""
    threads: int | None = None
    """Worker threads for inference; default: the cores this process may use."""
    vector_cache_mb: int = 256
    """Memory for document vectors and the tokens they are made of, in MiB; 0 keeps none."""
    mode: Literal["budget", "quality"] = "budget"
    """What `local/default` does when a call does not say: keep to `budget_ms`, or run every stage in full."""
    budget_ms: int = 500
    """Time `local/default` gives itself for one call, in milliseconds; a call's deadline is always kept."""
    documents_ranked: bool = False
    """Whether `local/default` takes documents to come in the order of an earlier stage, best first, when a call does
    not say; their ranks then have a weight of 0.3 in its first stage."""
    static_table: bool = True
    """Make the static word vectors of `local/default` in the background when `cache_dir` lacks them."""
    cache_dir: str | None = None
    """Where made and downloaded files are kept; default `$XDG_CACHE_HOME/rerankd` or `~/.cache/rerankd`."""
    models: dict[str, LocalModelSettings] = {}
    """Models of the operator's own, by the name callers use after `local/`."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.threads is not None and self.threads < 1:
            raise ValueError("`threads` must be at least 1")
        if self.vector_cache_mb < 0:
            raise ValueError("`vector_cache_mb` must not be negative")
        if self.budget_ms < 1:
            raise ValueError("`budget_ms` must be at least 1")


def usable_cores() -> int:
    """Count the cores this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def cache_directory(settings: LocalSettings) -> Path:
    """Name the directory for made and downloaded files; it need not exist."""
    if settings.cache_dir:
        return Path(settings.cache_dir).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "rerankd"
