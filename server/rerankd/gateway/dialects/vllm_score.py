"""The score API of vLLM 0.33, `/score` and `/v1/score`: pairs of texts, one score a pair, in request order.

Source: `vllm/entrypoints/pooling/scoring/protocol.py`, 2026-11-29.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.contract.wording import verb_of
from rerankd.gateway.dialects.vllm import map_vllm_parameters
from rerankd.gateway.translation.answers import numbered_error, token_usage
from rerankd.gateway.translation.content import Content, read_content
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import part_of_query
from rerankd.gateway.translation.parsed_request import ParsedRequest, QueryPart

MAX_QUERIES: Final = 1000
"""Distinct queries of one request: each is one call of the engine."""
_NAMES: Final = (("text_1", "text_2"), ("data_1", "data_2"), ("queries", "documents"), ("queries", "items"))
"""Names of queries and documents, as vLLM has had them."""

Side = str | dict[str, Any] | list[str | dict[str, Any]] | None
"""One text, one object with content parts, or a list of them."""


class VllmScoreBody(Struct):
    """vLLM's request; one pair of names is given."""

    model: str | None = None
    text_1: Side = None
    text_2: Side = None
    data_1: Side = None
    data_2: Side = None
    queries: Side = None
    documents: Side = None
    items: Side = None
    max_tokens_per_doc: messages.Int32 | None = None
    priority: messages.Int32 | None = None
    instruction: str | None = None
    user: str | None = None


class VllmScore(Dialect):
    """vLLM's scores: one query for all documents, as many queries as documents, or one document for all queries."""

    name = "vllm-score"
    title = "vLLM score"
    body_type = VllmScoreBody
    other_lists = tuple(dict.fromkeys(name for pair in _NAMES for name in pair if name != "documents"))

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to one request a distinct query.

        Raises:
            ServiceError: `INVALID_REQUEST` for a missing side, or sides whose lengths do not fit.
        """
        (first, queries), (second, documents) = _sides(body)
        request = RerankRequest(
            model=body.model or "",
            max_tokens_per_doc=body.max_tokens_per_doc or None,
            priority=body.priority,
            instruction=body.instruction or "",
            user=body.user or "",
        )
        asked = [read_content(query, _item(first, index, queries)) for index, query in enumerate(queries)]
        pairs = _documents(second, documents)
        if len(asked) == 1:
            request.query, request.query_image, request.documents = asked[0].text, asked[0].image, pairs
            return ParsedRequest(request, pairs)
        return ParsedRequest(request, pairs, parts=_parts(first, asked, pairs))

    def name_of(self, field: str, parsed: ParsedRequest) -> str:
        """Return the name that the body has for queries or documents."""
        if parsed.body is None or field not in ("query", "documents"):
            return field
        (first, _), (second, _) = _sides(parsed.body)
        return first if field == "query" else second

    def query_path(self, parsed: ParsedRequest, index: int | None) -> str:
        """Return the path of the query of a pair."""
        (first, queries), _ = _sides(parsed.body)
        index = index or 0
        return part_of_query(_item(first, index, queries), queries[index])

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of the document of a pair."""
        _, (second, documents) = _sides(parsed.body)
        index = min(index, len(documents) - 1)
        path = _item(second, index, documents)
        return part_of_query(path, documents[index]) if part else path

    def map_parameters(self, parsed: ParsedRequest, passed: Mapping[str, Any]) -> Mapping[str, str]:
        """Set truncation and scale."""
        return map_vllm_parameters(parsed, passed)

    def answer(self, answer: RerankResponse, _parsed: ParsedRequest) -> Any:
        """Build id, model, usage and one score a pair, in request order."""
        ordered = sorted(answer.results, key=lambda result: result.index)
        return {
            "id": answer.id,
            "object": "list",
            "created": int(time.time()),
            "model": answer.model,
            "data": [{"index": result.index, "object": "score", "score": result.relevance_score} for result in ordered],
            "usage": token_usage(answer),
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)


def _sides(body: VllmScoreBody) -> tuple[tuple[str, list[Any]], tuple[str, list[Any]]]:
    """Return name and items of both sides."""
    for first, second in _NAMES:
        if getattr(body, first) is not None and getattr(body, second) is not None:
            queries, documents = _listed(getattr(body, first)), _listed(getattr(body, second))
            _check_lengths((first, len(queries)), (second, len(documents)))
            return (first, queries), (second, documents)
    given = [name for pair in _NAMES for name in pair if getattr(body, name) is not None]
    lacking = next((second if first in given else first for first, second in _NAMES if {first, second} & {*given}), "")
    rule = (
        f"{lacking} {verb_of(lacking, 'is')} required"
        if lacking
        else "text_1 and text_2, or queries and documents, are required"
    )
    raise invalid_request([FieldViolation(lacking or "text_1", rule)])


def _check_lengths(first: tuple[str, int], second: tuple[str, int]) -> None:
    for name, count in (first, second):
        if count == 0:
            raise invalid_request([FieldViolation(name, f"{name} must have at least one item")])
    if 1 not in (first[1], second[1]) and first[1] != second[1]:
        counts = f"{second[0]} {verb_of(second[0], 'has')} {second[1]} items and {first[0]} {first[1]}"
        raise invalid_request([FieldViolation(second[0], f"{counts}: they must be as many, or one of them one")])


def _listed(side: Side) -> list[Any]:
    return side if isinstance(side, list) else [side]


def _item(name: str, index: int, items: Sequence[Any]) -> str:
    return f"{name}[{index}]" if len(items) > 1 else name


def _documents(name: str, sent: Sequence[Any]) -> list[str | Document]:
    documents: list[str | Document] = []
    for index, item in enumerate(sent):
        if isinstance(item, str):
            documents.append(item)
            continue
        found = read_content(item, _item(name, index, sent))
        documents.append(Document(text=found.text, image=found.image))
    return documents


def _parts(name: str, queries: Sequence[Content], documents: Sequence[str | Document]) -> list[QueryPart]:
    """Group the pairs by query: the documents of one are scored in one call."""
    groups: dict[Content, list[int]] = {}
    for index, query in enumerate(queries):
        groups.setdefault(query, []).append(index)
    if len(groups) > MAX_QUERIES:
        rule = f"{name} {verb_of(name, 'has')} {len(groups)} different queries; at most {MAX_QUERIES} are taken"
        raise invalid_request([FieldViolation(name, rule)])
    only = documents[0] if len(documents) == 1 else None
    return [
        QueryPart(query, [documents[index] if only is None else only for index in indices], indices)
        for query, indices in groups.items()
    ]
