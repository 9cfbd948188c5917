"""Examples of the OpenAPI document: what to send, what comes back, what a refusal looks like."""

from __future__ import annotations

import json
from typing import Any, Final

_QUERY: Final = "What is the capital of France?"
_DOCUMENTS: Final = [
    "Berlin is the capital of Germany.",
    "Paris is the capital of France.",
    "France borders Spain.",
]
_ANSWER: Final[dict[str, Any]] = {
    "id": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
    "results": [
        {"index": 1, "relevance_score": 0.5630282598703661},
        {"index": 2, "relevance_score": 0.3641324071987694},
    ],
    "model": "local/bm25",
    "usage": {
        "documents": 3,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "search_units": 0,
        "cached_documents": 0,
    },
    "meta": {
        "api_version": {"version": "1"},
        "billed_units": {"search_units": 0, "input_tokens": 0, "output_tokens": 0},
        "warnings": [],
    },
    "extra_fields": {
        "request_type": "rerank",
        "provider": "local",
        "latency": 1.102,
        "chunk_index": 0,
        "chunks": [],
        "stages": [],
        "fell_back_from": [],
        "score_space": "unbounded",
    },
}
_MODEL: Final[dict[str, Any]] = {
    "name": "local/bm25",
    "provider": "local",
    "description": "Shared words, weighted by their rarity among the request's documents; every script, no network.",
    "aliases": [],
    "limits": {"max_documents": 0, "max_tokens_per_document": 0, "max_total_tokens": 0, "max_request_bytes": 0},
    "scoring": "listwise",
    "score_space": "unbounded",
    "truncation_default": "unspecified",
    "status": "available",
    "status_detail": "",
    "license": "",
    "source": "",
    "takes_images": False,
    "deployments": [],
}
_BATCH: Final = [
    {"options": {"ordered": True, "defaults": {"model": "local/bm25"}}},
    {"item": {"item_id": "a", "request": {"query": _QUERY, "documents": _DOCUMENTS[:2]}}},
    {"item": {"item_id": "b", "request": {"query": "Which country borders France?", "documents": _DOCUMENTS}}},
]
_BATCH_ANSWER: Final = [
    {
        "item": {
            "item_id": "a",
            "item_index": 0,
            "status": {"code": 0, "message": "", "details": []},
            "response": {**_ANSWER, "results": [{"index": 1, "relevance_score": 0.87}]},
        }
    },
    {
        "summary": {
            "items_received": 1,
            "items_succeeded": 1,
            "items_failed": 0,
            "usage": _ANSWER["usage"],
            "latency_ms": 2.3,
        }
    },
]
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "Rerank": {
        "texts": {
            "summary": "Texts, the two best",
            "value": {"model": "local/bm25", "query": _QUERY, "documents": _DOCUMENTS, "top_n": 2},
        },
        "documents": {
            "summary": "Documents with ids, returned with their scores",
            "value": {
                "query": _QUERY,
                "documents": [{"id": "de", "text": _DOCUMENTS[0]}, {"id": "fr", "text": _DOCUMENTS[1]}],
                "return_documents": True,
            },
        },
    },
    "BatchRerank": {"items": {"summary": "Options and two items", "value": _BATCH}},
}
"""Bodies by the method's name."""
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "Rerank": {"ranked": {"summary": "The two best", "value": _ANSWER}},
    "ListModels": {"page": {"summary": "One page", "value": {"models": [_MODEL], "next_page_token": ""}}},
    "GetModel": {"model": {"summary": "A model", "value": _MODEL}},
    "BatchRerank": {"lines": {"summary": "An item and the summary", "value": _BATCH_ANSWER}},
}
"""Answers by the method's name."""
PARAMETERS: Final = {"model": "local/bm25"}
"""Path parameters by name."""
_REFUSALS: Final = {
    "400": ("INVALID_REQUEST", "invalid_argument", "top_n must be at least 1, was 0", "top_n"),
    "401": ("API_KEY_MISSING", "unauthenticated", "an API key is required; send it as a bearer token", None),
    "403": ("MODEL_NOT_ALLOWED", "permission_denied", "this key may not use model local/bm25", None),
    "404": ("MODEL_NOT_FOUND", "not_found", "model local/bm52 not found; did you mean local/bm25?", "model"),
    "413": (
        "INVALID_REQUEST",
        "invalid_argument",
        "the body is larger than 67108864 bytes; send fewer or shorter documents",
        None,
    ),
    "415": (
        "INVALID_REQUEST",
        "invalid_argument",
        "content-type text/plain is not supported; send application/json, in UTF-8",
        "content-type",
    ),
    "429": (
        "OVERLOADED",
        "resource_exhausted",
        "512 calls are in flight, as many as this server accepts; try again shortly",
        None,
    ),
    "500": ("INTERNAL", "internal", "internal error; the server's log has the details under request id 3f0c", None),
    "503": ("PROVIDER_UNAVAILABLE", "unavailable", "provider cohere cannot be reached; try again shortly", None),
    "504": (
        "DEADLINE_EXCEEDED",
        "deadline_exceeded",
        "the deadline passed before the answer was ready; allow more time",
        None,
    ),
}


def refusal(status: str) -> dict[str, Any]:
    """Build the body of a call refused with this status."""
    reason, kind, text, field = _REFUSALS[status]
    body: dict[str, Any] = {
        "id": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
        "message": text,
        "detail": text,
        "status": int(status),
        "reason": reason,
        "error": {"message": text, "type": kind, "code": reason, "param": field},
    }
    return body | ({"fields": [{"field": field, "description": text}]} if field else {})


def as_sent(examples: dict[str, dict[str, Any]], *, is_streaming: bool) -> dict[str, Any]:
    """Return examples as they travel: the messages of a stream as lines of JSON."""
    if not is_streaming:
        return examples
    return {
        name: {**example, "value": "".join(json.dumps(message) + "\n" for message in example["value"])}
        for name, example in examples.items()
    }
