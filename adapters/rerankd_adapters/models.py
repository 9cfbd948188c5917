"""Capabilities of open models that many providers serve.

Only properties of the weights: scoring, context window, instructions, images. Properties of the server, such as the
score space, are declared by the provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from rerankd_adapters.capability import Capabilities, ScoreSpace, Scoring


@dataclass(frozen=True, slots=True)
class ModelRule:
    """Capabilities of models whose name matches a pattern."""

    pattern: str
    """Lower-case glob, matched against the last segment of the model name, or the full name if it contains a slash."""
    facts: Capabilities
    """Capabilities to override; fields at their default are not overridden."""


def matches(pattern: str, model: str) -> bool:
    """Whether `pattern` matches `model`."""
    name = model.lower()
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


def _pointwise(tokens: int, source: str, *, takes_instruction: bool | None = None) -> Capabilities:
    return Capabilities(
        scoring=Scoring.POINTWISE,
        max_tokens_per_document=tokens,
        takes_instruction=takes_instruction,
        source=source,
    )


def _images(source: str) -> Capabilities:
    return Capabilities(takes_images=True, takes_query_images=True, source=source)


SHARED_MODELS: tuple[ModelRule, ...] = (
    ModelRule(
        "jina-reranker-v3*",
        Capabilities(
            scoring=Scoring.LISTWISE,
            score_space=ScoreSpace.COSINE,
            max_total_tokens=131_072,
            source="Jina team on Hugging Face; vLLM 0.33.0 JinaForRanking; Xinference 4.1.0",
        ),
    ),
    ModelRule("jina-reranker-m0*", _pointwise(10_000, "jina.ai/models/jina-reranker-m0")),
    ModelRule("jina-reranker-v2*", _pointwise(1024, "jina.ai/models/jina-reranker-v2-base-multilingual")),
    ModelRule("jina-colbert-v2*", _pointwise(8192, "jina.ai/models/jina-colbert-v2")),
    ModelRule("bge-reranker-v2-m3*", _pointwise(8192, "huggingface.co/BAAI/bge-reranker-v2-m3")),
    ModelRule("bge-reranker-base*", _pointwise(512, "huggingface.co/BAAI/bge-reranker-base")),
    ModelRule("bge-reranker-large*", _pointwise(512, "huggingface.co/BAAI/bge-reranker-large")),
    ModelRule(
        "qwen3-reranker-*",
        _pointwise(32_768, "huggingface.co/Qwen/Qwen3-Reranker-0.6B", takes_instruction=True),
    ),
    ModelRule("mxbai-rerank-*", _pointwise(512, "huggingface.co/mixedbread-ai/mxbai-rerank-large-v1")),
    ModelRule("mxbai-rerank-*-v2", _pointwise(8192, "huggingface.co/mixedbread-ai/mxbai-rerank-large-v2")),
    ModelRule("llama-rank-v1*", _pointwise(8192, "LiteLLM 1.109.1 model table")),
    ModelRule("ms-marco-minilm-*", _pointwise(512, "huggingface.co/cross-encoder/ms-marco-MiniLM-L-6-v2")),
)
"""Rules for all providers; later rules override earlier ones."""

IMAGE_MODELS: tuple[ModelRule, ...] = (
    ModelRule("jina-reranker-m0*", _images("jina.ai/models/jina-reranker-m0")),
    ModelRule("qwen3-vl-rerank*", _images("huggingface.co/Qwen/Qwen3-VL-Reranker-8B")),
    ModelRule("*nemotron-rerank-vl-*", Capabilities(takes_images=True, source="docs.nvidia.com NIM 2.0")),
)
"""Models that accept images in documents, and as the query where the provider's API supports that."""
