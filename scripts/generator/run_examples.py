"""Examples of the OpenAPI document for logged calls."""

from __future__ import annotations

from typing import Any, Final

_RUN: Final = {
    "runId": "01a228f7-7d21-7874-882c-aa4ad48c2c40",
    "startedAt": "2026-11-29T20:10:00Z",
    "latencyMs": 180.2,
    "status": "ok",
    "reason": "",
    "source": "api",
    "transport": "http",
    "dialect": "cohere",
    "caller": "search",
    "keyId": "key_3f0c6f9a",
    "user": "",
    "model": "support-rerank",
    "reranker": "support-rerank",
    "rerankerVersion": 2,
    "strategy": "dedicated-model",
    "query": "How do I reset my password?",
    "documentCount": 2,
    "resultCount": 2,
    "totalTokens": 0,
    "costUsd": 0.002,
    "cacheHits": 0,
    "traceId": "",
    "requestId": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
    "replayOf": "",
    "experimentId": "",
    "capture": "truncated",
}
_DETAILS: Final = {
    "query": "How do I reset my password?",
    "queryHash": "",
    "queryImage": "",
    "documents": [
        {"index": 0, "text": "Forgot password? Click here to reset.", "hash": "", "id": "", "chars": 37, "image": ""},
        {"index": 1, "text": "Two-factor authentication setup guide.", "hash": "", "id": "", "chars": 38, "image": ""},
    ],
    "results": [{"index": 0, "relevanceScore": 0.92}, {"index": 1, "relevanceScore": 0.31}],
    "parameters": {"top_n": 3},
    "requestedModel": "support-rerank",
    "stages": [],
    "attempts": [
        {
            "provider": "cohere",
            "model": "rerank-multilingual-v3.0",
            "deployment": "cohere/rerank-multilingual-v3.0",
            "chunkIndex": 0,
            "number": 1,
            "documents": 2,
            "startedMs": 0.4,
            "latencyMs": 179.1,
            "outcome": "ok",
            "searchUnits": 1,
            "costUsd": 0.002,
        }
    ],
    "events": [],
    "usage": {
        "documents": 2,
        "promptTokens": 0,
        "completionTokens": 0,
        "searchUnits": 1,
        "cachedDocuments": 0,
        "costUsd": 0.002,
    },
    "warnings": [],
    "provider": "cohere",
    "deployment": "cohere/rerank-multilingual-v3.0",
    "scoreSpace": "probability",
    "leftOut": {},
}
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "ListRuns": {"runs": {"summary": "One page", "value": {"runs": [_RUN], "nextCursor": ""}}},
    "GetRun": {"run": {"summary": "A call that was answered", "value": {"run": {**_RUN, "details": _DETAILS}}}},
}
"""Answers by the method's name."""
