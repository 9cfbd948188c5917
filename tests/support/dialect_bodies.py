"""The smallest request of every dialect, and how a parameter is put into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rerankd.gateway.dialects.registry import DIALECTS
from rerankd.gateway.translation.parameter_rules import COMMON, RULES, Rule
from rerankd.gateway.translation.parsed_request import RerankBody

_DOCUMENTS: Final[Mapping[str, Any]] = {"query": "a", "documents": [{"text": "a"}, {"text": "b c"}]}
_TEXTS: Final[Mapping[str, Any]] = {"query": "a", "texts": ["a", "b c"]}
_PATHS: Final[Mapping[str, str]] = {
    "cohere": "/cohere/v2/rerank",
    "vllm-score": "/v1/score",
    "tei": "/tei/rerank",
    "nim": "/nim/v1/ranking",
    "mixedbread": "/mixedbread/v1/reranking",
    "bedrock": "/bedrock/rerank",
    "vertex": "/vertex/v1/projects/p/locations/global/rankingConfigs/r:rank",
    "isaacus": "/isaacus/v1/rerankings",
    "deepinfra": "/deepinfra/v1/inference/{model}",
}
_BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "vllm-score": {"text_1": "a", "text_2": ["a", "b c"]},
    "tei": _TEXTS,
    "isaacus": _TEXTS,
    "nim": {"query": {"text": "a"}, "passages": [{"text": "a"}, {"text": "b c"}]},
    "mixedbread": {"query": "a", "input": ["a", "b c"]},
    "bedrock": {
        "queries": [{"type": "TEXT", "textQuery": {"text": "a"}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
            for text in ("a", "b c")
        ],
    },
    "vertex": {"query": "a", "records": [{"id": "1", "content": "a"}, {"id": "2", "content": "b c"}]},
    "deepinfra": {"queries": ["a"], "documents": ["a", "b c"]},
}
_BEDROCK_MODEL: Final = "rerankingConfiguration.bedrockRerankingConfiguration.modelConfiguration.modelArn"


class DialectRule(NamedTuple):
    """One row of the table of parameters."""

    dialect: str
    rule: Rule


def all_rules() -> list[DialectRule]:
    """List every row, the common ones for each dialect that has them."""
    rows = []
    for name, dialect in DIALECTS.items():
        rules = list(RULES.get(name, ()))
        if issubclass(dialect.body_type, RerankBody):
            named = {rule.name for rule in rules}
            rules += [rule for rule in COMMON if rule.name not in named]
        rows += [DialectRule(name, rule) for rule in rules]
    return rows


def request_of(dialect: str, model: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return path and body of a request with two documents.

    Args:
        dialect: Name of the dialect.
        model: Model, named where the dialect names it.
        parameters: Values by path, segments separated by dots.
    """
    found = DIALECTS.get(dialect)  # none for the service's own requests, which have the common names
    has_common_names = found is None or {"query", "documents"} <= {*found.body_type.__struct_encode_fields__}
    assert dialect in _BODIES or has_common_names, (
        f"{dialect}: add its smallest body to tests/support/dialect_bodies.py"
    )
    body = dict(_BODIES.get(dialect, _DOCUMENTS))
    path = _PATHS.get(dialect, f"/{dialect}/v1/rerank")
    if dialect == "bedrock":
        body = put(body, _BEDROCK_MODEL, model)
    elif "{model}" not in path:
        body["model"] = model
    for name, value in parameters.items():
        body = put(body, name, value)
    return path.replace("{model}", model), body


def put(body: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return a copy of a body with a value at a path."""
    first, _, rest = name.partition(".")
    return {**body, first: put(body.get(first, {}), rest, value) if rest else value}
