"""Examples of the OpenAPI document for stored rerankers."""

from __future__ import annotations

from typing import Any, Final

_RERANKER: Final = {
    "key": "support-rerank",
    "name": "support-rerank",
    "description": "Cohere v3 multilingual",
    "strategy": "dedicated-model",
    "status": "active",
    "config": {"providerKey": "cohere", "model": "rerank-multilingual-v3.0", "topN": 10},
    "metadata": {},
    "totalRuns": 42,
    "avgLatencyMs": 180.0,
    "lastUsedAt": "2026-11-29T20:10:00Z",
    "createdAt": "2026-11-29T20:00:00Z",
    "updatedAt": "2026-11-29T20:05:00Z",
    "version": 2,
    "etag": "2-17",
    "source": "store",
    "problem": "",
}
_DOCUMENTS: Final = ["Forgot password? Click here to reset.", "Two-factor authentication setup guide."]
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "CreateReranker": {
        "dedicated": {
            "summary": "One model of a provider",
            "value": {
                name: _RERANKER[name]
                for name in ("name", "key", "description", "strategy", "status", "config", "metadata")
            },
        },
        "cascade": {
            "summary": "A quick model, then a better one",
            "value": {
                "name": "Two stages",
                "strategy": "cascade",
                "config": {"stages": [{"model": "local/bm25", "keep": 20}, {"model": "local/default"}]},
            },
        },
    },
    "UpdateReranker": {
        "status": {"summary": "Refuse calls, if nobody changed it", "value": {"status": "disabled", "etag": "2-17"}}
    },
    "RunReranker": {
        "texts": {
            "summary": "Texts, the three best",
            "value": {"query": "How do I reset my password?", "documents": _DOCUMENTS, "topN": 3},
        }
    },
    "RollbackReranker": {"version": {"summary": "As it was at first", "value": {"version": 1}}},
}
"""Requests by the method's name."""
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "CreateReranker": {
        "reranker": {"summary": "As it is stored", "value": {"reranker": {**_RERANKER, "version": 1, "etag": "1-16"}}}
    },
    "GetReranker": {"reranker": {"summary": "A reranker", "value": {"reranker": _RERANKER}}},
    "ListRerankers": {"rerankers": {"summary": "One page", "value": {"rerankers": [_RERANKER], "nextPageToken": ""}}},
    "UpdateReranker": {"reranker": {"summary": "As it is now", "value": {"reranker": _RERANKER}}},
    "DeleteReranker": {"deleted": {"summary": "It is gone", "value": {"success": True}}},
    "RunReranker": {
        "results": {
            "summary": "Best first",
            "value": {
                "id": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
                "results": [
                    {"index": 0, "score": 0.92, "content": _DOCUMENTS[0], "id": ""},
                    {"index": 1, "score": 0.31, "content": _DOCUMENTS[1], "id": ""},
                ],
                "reranker": "support-rerank",
                "strategy": "dedicated-model",
                "model": "cohere/rerank-multilingual-v3.0",
                "latencyMs": 180.0,
                "warnings": [],
            },
        }
    },
    "ListRerankerVersions": {
        "versions": {
            "summary": "One version",
            "value": {
                "versions": [
                    {
                        "version": 1,
                        "createdAt": "2026-11-29T20:00:00Z",
                        "author": "search-team",
                        "origin": "create",
                        **{
                            name: _RERANKER[name]
                            for name in ("name", "description", "strategy", "status", "config", "metadata")
                        },
                    }
                ],
                "nextPageToken": "",
            },
        }
    },
    "DiffRerankerVersions": {
        "differences": {
            "summary": "One value",
            "value": {"differences": [{"path": "config.topN", "before": "5", "after": "10"}]},
        }
    },
    "RollbackReranker": {"reranker": {"summary": "As it is now", "value": {"reranker": _RERANKER}}},
}
"""Answers by the method's name."""
