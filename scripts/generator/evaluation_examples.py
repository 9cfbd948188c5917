"""Examples of the evaluation service in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

EXPERIMENT_ID: Final = "exp_5a0722196e5d3b8b"
RUN_ID: Final = "019ad1c7-f30b-7e1f-8c2a-9d5b1f0a6c5e"
_HASH: Final = "27c35e6e9373877f29e562464e46497e"
_JUDGEMENT: Final = {
    "query": "solar sail",
    "queryHash": _HASH,
    "documentId": "d17",
    "documentHash": "",
    "grade": 2,
    "source": "feedback",
    "clicks": 3,
    "updatedAt": "2026-11-29T20:00:00Z",
}
_BEFORE: Final = {"model": "local/bm25", "latencyMs": 0.9, "cachedDocuments": 0}
_AFTER: Final = {"model": "local/default", "latencyMs": 19.1, "cachedDocuments": 0}
_COMPARISON: Final[dict[str, Any]] = {
    "kendallTau": 0.3333333333333333,
    "overlap": 1.0,
    "ndcg": {"before": 0.6309297535714575, "after": 1.0},
    "reciprocalRank": {"before": 0.5, "after": 1.0},
    "changes": [{"index": 1, "before": 2, "after": 1, "grade": 2}, {"index": 0, "before": 1, "after": 2}],
    "changed": 2,
    "judged": 0.3333333333333333,
}
_RUNNING: Final[dict[str, Any]] = {
    "id": EXPERIMENT_ID,
    "name": "words or neural",
    "candidate": "local/default",
    "baseline": ["local/bm25"],
    "runs": {
        "from": "2026-11-28T00:00:00Z",
        "model": "local/bm25",
        "reranker": "",
        "keyId": "",
        "user": "",
        "source": "",
    },
    "depth": 10,
    "concurrency": 4,
    "state": "running",
    "total": 200,
    "ended": 0,
    "createdAt": "2026-11-29T20:00:00Z",
    "createdBy": "search-team",
}
_INTERVAL: Final = {"mean": 0.104, "low": 0.068, "high": 0.141}
_DONE: Final[dict[str, Any]] = {
    **_RUNNING,
    "state": "done",
    "ended": 200,
    "endedAt": "2026-11-29T20:00:09Z",
    "summary": {
        "queries": 200,
        "reordered": 187,
        "ndcg": {
            "queries": 200,
            "before": 0.72,
            "after": 0.824,
            "difference": _INTERVAL,
            "improved": 81,
            "worsened": 30,
        },
        "kendallTau": {"mean": 0.41, "low": 0.36, "high": 0.46},
        "overlap": {"mean": 0.97, "low": 0.96, "high": 0.98},
        "judged": 0.99,
        "before": {"latencyMeanMs": 0.9, "latencyP95Ms": 1.6, "cachedDocuments": 0},
        "after": {"latencyMeanMs": 19.1, "latencyP95Ms": 31.0, "cachedDocuments": 0},
        "failed": 0,
        "skipped": 0,
        "reasons": [],
    },
}
_EMPTY: Final = {"empty": {"summary": "The path says which", "value": {}}}

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "SendFeedback": {
        "grade": {"summary": "A grade", "value": {"runId": RUN_ID, "documentId": "d17", "grade": 2}},
        "click": {"summary": "A click", "value": {"runId": RUN_ID, "index": 1, "clicked": True}},
    },
    "SetJudgements": {
        "judgements": {
            "summary": "By text and by id",
            "value": {
                "judgements": [
                    {"query": "solar sail", "document": "A sail ...", "grade": 3},
                    {"query": "solar sail", "documentId": "d17", "grade": 0},
                ]
            },
        }
    },
    "ReplayRun": {"model": {"summary": "With another model", "value": {"model": "local/default"}}},
    "CreateExperiment": {
        "model": {
            "summary": "Yesterday's runs of one model with another one",
            "value": {
                "name": "words or neural",
                "candidate": "local/default",
                "runs": {"from": "2026-11-28T00:00:00Z", "model": "local/bm25", "maxRuns": 200},
            },
        }
    },
    "CancelExperiment": _EMPTY,
    "ResumeExperiment": _EMPTY,
}
"""Bodies by the method's name."""
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "SendFeedback": {"judgement": {"summary": "The judgement", "value": {"judgement": _JUDGEMENT}}},
    "SetJudgements": {"count": {"summary": "Two", "value": {"stored": 2}}},
    "ListJudgements": {"page": {"summary": "One page", "value": {"judgements": [_JUDGEMENT], "nextPageToken": ""}}},
    "DeleteJudgement": {},
    "ReplayRun": {
        "answer": {
            "summary": "Two documents have changed ranks",
            "value": {
                "id": "3f0c6f9a5d1b4a7c8e2d9b1f0a6c5e47",
                "replayOf": RUN_ID,
                "results": [
                    {"index": 1, "relevanceScore": 0.9327372553216423},
                    {"index": 0, "relevanceScore": 0.300047021950147},
                    {"index": 2, "relevanceScore": 0.20324986100407422},
                ],
                "comparison": _COMPARISON,
                "before": _BEFORE,
                "after": _AFTER,
            },
        }
    },
    "CreateExperiment": {"experiment": {"summary": "It has begun", "value": _RUNNING}},
    "ListExperiments": {"page": {"summary": "One page", "value": {"experiments": [_DONE], "nextPageToken": ""}}},
    "GetExperiment": {"experiment": {"summary": "It is done", "value": _DONE}},
    "ListExperimentQueries": {
        "page": {
            "summary": "One page",
            "value": {
                "queries": [
                    {
                        "runId": RUN_ID,
                        "query": "solar sail",
                        "comparison": _COMPARISON,
                        "before": _BEFORE,
                        "after": _AFTER,
                        "runDeleted": False,
                    }
                ],
                "nextPageToken": "",
            },
        }
    },
    "CancelExperiment": {"experiment": {"summary": "It is cancelled", "value": {**_RUNNING, "state": "cancelled"}}},
    "ResumeExperiment": {"experiment": {"summary": "It runs", "value": _RUNNING}},
    "DeleteExperiment": {},
}
"""Answers by the method's name."""
