"""Rules that select the dialect of a request, in order of precedence.

They are applied before authentication, because the form of an error depends on the dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from msgspec import Raw

DIALECT_HEADER: Final = "x-rerank-dialect"
"""Request header that names the dialect."""

Keys = Mapping[str, Raw]


class HeaderRule(NamedTuple):
    """A header sent by one service's clients only."""

    header: str
    dialect: str


class PathRule(NamedTuple):
    """A rerank path, without mount, and its dialect."""

    template: str
    """Path template, as in `route_table.Route`."""
    dialect: str
    """Empty if several services share the path, so that the body decides."""


class BodyRule(NamedTuple):
    """A property of the body that identifies the dialect on a path shared by several services."""

    sign: str
    """Description of the property, for docs/dialects.md."""
    dialect: str
    fits: Callable[[Keys], bool]


def _without_documents(name: str) -> Callable[[Keys], bool]:
    return lambda keys: name in keys and "documents" not in keys


def _is_voyage(keys: Keys) -> bool:
    truncation = keys.get("truncation")
    return "top_k" in keys or (truncation is not None and bytes(truncation)[:1] != b'"')


SHARED: Final = "superset"
"""Dialect of a body to which no rule applies."""

ALIASES: Final[Mapping[str, str]] = {
    "azure": "cohere",
    "huggingface": "tei",
    "nvidia": "nim",
    "openai": "superset",
    "litellm": "superset",
}
"""Other names of dialects, in mounts and in the header."""

HEADERS: Final = (HeaderRule("x-pinecone-api-version", "pinecone"),)

PATHS: Final = (
    PathRule("/v1/rerank", ""),
    PathRule("/rerank", ""),
    PathRule("/v1/reranks", ""),
    PathRule("/reranks", ""),
    PathRule("/v1/reranking", ""),
    PathRule("/reranking", ""),
    PathRule("/invocations", ""),
    PathRule("/", ""),
    PathRule("/v2/rerank", "cohere"),
    PathRule("/providers/cohere/v2/rerank", "cohere"),
    PathRule("/v1/ranking", "nim"),
    PathRule("/ranking", "nim"),
    PathRule("/v1/retrieval/{model=**}/reranking", "nim"),
    PathRule("/api/v1/rerank", "openrouter"),
    PathRule("/inference/v1/rerank", "fireworks"),
    PathRule("/v1/rerankings", "isaacus"),
    PathRule("/rerankings", "isaacus"),
    PathRule("/v1/models/rerank", "zeroentropy"),
    PathRule("/models/rerank", "zeroentropy"),
    PathRule("/v1/inference/{model=**}", "deepinfra"),
    PathRule("/v1/projects/{parent=**}:rank", "vertex"),
    PathRule("/v1/score", "vllm-score"),
    PathRule("/score", "vllm-score"),
)

BOUND: Final = frozenset({"vllm-score"})
"""Dialects of paths with requests of their own, which no mount or header reads otherwise."""

BODIES: Final = (
    BodyRule("`texts`, without `documents`", "tei", _without_documents("texts")),
    BodyRule("`passages`, without `documents`", "nim", _without_documents("passages")),
    BodyRule("`input`, without `documents`", "mixedbread", _without_documents("input")),
    BodyRule("`queries` and `sources`", "bedrock", lambda keys: "queries" in keys and "sources" in keys),
    BodyRule("`records`, without `documents`", "vertex", _without_documents("records")),
    BodyRule("`property`, without `model`", "weaviate", lambda keys: "property" in keys and "model" not in keys),
    BodyRule("`raw_scores`", "infinity", lambda keys: "raw_scores" in keys),
    BodyRule("`top_k`, or `truncation` as a boolean or null", "voyage", _is_voyage),
)


def dialect_of_body(keys: Keys) -> str:
    """Return the name of the dialect that a body's keys identify; `SHARED` if no rule applies."""
    for rule in BODIES:
        if rule.fits(keys):
            return rule.dialect
    return SHARED
