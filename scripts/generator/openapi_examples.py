"""Examples of the OpenAPI document: what to send, what comes back, what a refusal looks like."""

from __future__ import annotations

import json
from typing import Any, Final

from scripts.generator import evaluation_examples, reranker_examples, run_examples

_QUERY: Final = "What is the capital of France?"
_DOCUMENTS: Final = [
    "Berlin is the capital of Germany.",
    "Paris is the capital of France.",
    "France borders Spain.",
]


def _stage(name: str, model: str, latency_ms: float) -> dict[str, Any]:
    return {
        "stage": name,
        "model": model,
        "documents": 3,
        "latency_ms": latency_ms,
        "shortened_by": "",
        "indices": [],
        "status": "ok",
    }


_ANSWER: Final[dict[str, Any]] = {
    "id": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
    "results": [
        {"index": 1, "relevance_score": 0.9327372553216423},
        {"index": 0, "relevance_score": 0.300047021950147},
    ],
    "model": "local/default",
    "usage": {
        "documents": 3,
        "prompt_tokens": 81,
        "completion_tokens": 0,
        "total_tokens": 81,
        "search_units": 0,
        "cached_documents": 0,
    },
    "meta": {
        "api_version": {"version": "1"},
        "billed_units": {"search_units": 0, "input_tokens": 81, "output_tokens": 0},
        "warnings": [],
    },
    "extra_fields": {
        "request_type": "rerank",
        "provider": "local",
        "latency": 19.102,
        "chunk_index": 0,
        "chunks": [],
        "stages": [
            _stage("lexical-static", "bm25+static-minilm", 0.175),
            _stage("late-interaction", "all-minilm-l6-v2", 4.597),
            _stage("cross-encoder", "ms-marco-minilm-l12-v2", 13.695),
        ],
        "fell_back_from": [],
        "score_space": "probability",
    },
}
_MODEL: Final[dict[str, Any]] = {
    "name": "local/default",
    "provider": "local",
    "description": "Cascade within a time budget: words and static vectors for all documents, late interaction for the "
    "best, the cross-encoder for the best 10. Scores are probabilities, comparable across calls.",
    "aliases": [],
    "limits": {"max_documents": 0, "max_tokens_per_document": 256, "max_total_tokens": 0, "max_request_bytes": 0},
    "scoring": "listwise",
    "score_space": "probability",
    "truncation_default": "end",
    "status": "available",
    "status_detail": "",
    "license": "Apache-2.0",
    "source": "bm25, all-minilm-l6-v2 and ms-marco-minilm-l12-v2",
    "takes_images": False,
    "takes_query_images": False,
    "deployments": [],
    "kind": "model",
    "strategy": "unspecified",
    "members": [],
}
_BATCH: Final = [
    {"options": {"ordered": True, "defaults": {"model": "local/default"}}},
    {"item": {"item_id": "a", "request": {"query": _QUERY, "documents": _DOCUMENTS[:2]}}},
    {"item": {"item_id": "b", "request": {"query": "Which country borders France?", "documents": _DOCUMENTS}}},
]
_BATCH_ANSWER: Final = [
    {
        "item": {
            "item_id": "a",
            "item_index": 0,
            "status": {"code": 0, "message": "", "details": []},
            "response": {**_ANSWER, "results": [{"index": 1, "relevance_score": 0.9327372553216423}]},
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
_KEY: Final = {
    "id": "key_019ad1c7f30b6e1f0c2a9d",
    "name": "search",
    "owner": "search-team",
    "group": "search",
    "tags": [],
    "models": ["cohere/*"],
    "scopes": ["rerank", "models"],
    "hint": "...7tQ2",
    "created_at": "2026-11-29T20:00:00Z",
    "expires_at": "2027-11-29T20:00:00Z",
    "source": "store",
}
_SPEND: Final[dict[str, Any]] = {
    "day": "2026-11-29",
    "key_id": "key_019ad1c7f30b6e1f0c2a9d",
    "group": "",
    "user": "",
    "model": "",
    "calls": 1200,
    "documents": 60000,
    "tokens": 0,
    "search_units": 1200,
    "cost_usd": 2.4,
    "unpriced_calls": 0,
}
_SECRET: Final = "rerankd_..."
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    **evaluation_examples.REQUESTS,
    **reranker_examples.REQUESTS,
    "Rerank": {
        "texts": {
            "summary": "Texts, the two best",
            "value": {"model": "local/default", "query": _QUERY, "documents": _DOCUMENTS, "top_n": 2},
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
    "WarmDocuments": {
        "texts": {"summary": "Texts", "value": {"model": "local/default", "documents": _DOCUMENTS}},
    },
    "BatchRerank": {"items": {"summary": "Options and two items", "value": _BATCH}},
    "CreateKey": {
        "key": {
            "summary": "A key of a team, for a year",
            "value": {
                "name": "search",
                "owner": "search-team",
                "group": "search",
                "models": ["cohere/*"],
                "expires_at": "2027-11-29T20:00:00Z",
            },
        }
    },
    "RotateKey": {"overlap": {"summary": "The old secret works for an hour more", "value": {"overlap_s": 3600}}},
    "RevokeKey": {"empty": {"summary": "The path says which", "value": {}}},
    "ImportKeys": {
        "hashes": {
            "summary": "A key by its hash",
            "value": {
                "keys": [{"name": "search", "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]
            },
        }
    },
}
"""Bodies by the method's name."""
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    **evaluation_examples.ANSWERS,
    **reranker_examples.ANSWERS,
    **run_examples.ANSWERS,
    "Rerank": {"ranked": {"summary": "The two best", "value": _ANSWER}},
    "ListModels": {"page": {"summary": "One page", "value": {"models": [_MODEL], "next_page_token": ""}}},
    "GetModel": {"model": {"summary": "A model", "value": _MODEL}},
    "WarmDocuments": {
        "counts": {
            "summary": "Two computed, one known",
            "value": {"model": "local/default", "warmed": 2, "already_warm": 1, "skipped": 0, "warnings": []},
        }
    },
    "BatchRerank": {"lines": {"summary": "An item and the summary", "value": _BATCH_ANSWER}},
    "CreateKey": {"key": {"summary": "The key and its secret", "value": {"key": _KEY, "secret": _SECRET}}},
    "ListKeys": {"page": {"summary": "One page", "value": {"keys": [_KEY], "next_page_token": ""}}},
    "GetKey": {"key": {"summary": "A key", "value": _KEY}},
    "RotateKey": {
        "key": {
            "summary": "The key and its new secret",
            "value": {"key": {**_KEY, "old_secret_expires_at": "2026-11-29T21:00:00Z"}, "secret": _SECRET},
        }
    },
    "RevokeKey": {"key": {"summary": "The key", "value": {**_KEY, "revoked_at": "2026-11-29T20:05:00Z"}}},
    "ImportKeys": {"keys": {"summary": "The key", "value": {"keys": [{**_KEY, "hint": ""}]}}},
    "ListSpend": {"page": {"summary": "Of one key on one day", "value": {"spend": [_SPEND], "next_page_token": ""}}},
}
"""Answers by the method's name."""
PARAMETERS: Final = {
    "model": "local/default",
    "key_id": "key_019ad1c7f30b6e1f0c2a9d",
    "run_id": evaluation_examples.RUN_ID,
    "experiment_id": evaluation_examples.EXPERIMENT_ID,
    "key": "support-rerank",
}
"""Path parameters by name."""
_REFUSALS: Final = {
    "400": ("INVALID_REQUEST", "invalid_argument", "top_n must be at least 1, was 0", "top_n"),
    "401": ("API_KEY_MISSING", "unauthenticated", "an API key is required; send it as a bearer token", None),
    "403": ("MODEL_NOT_ALLOWED", "permission_denied", "this key may not use model cohere/rerank-v3.5", None),
    "404": ("MODEL_NOT_FOUND", "not_found", "model local/defalt not found; did you mean local/default?", "model"),
    "409": (
        "DECLARED_IN_SETTINGS",
        "failed_precondition",
        "key search is declared in the settings (access.keys.search); change it there",
        None,
    ),
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
    "502": (
        "PROVIDER_BAD_RESPONSE",
        "internal",
        "provider cohere/rerank-v3.5: invalid reply: index 7 of 4 documents",
        None,
    ),
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
