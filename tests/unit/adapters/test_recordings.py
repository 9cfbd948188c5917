"""Recordings with mistakes: what a contributor is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderReply
from rerankd_adapters.testing.chat import load_chat_recording
from rerankd_adapters.testing.recordings import check_error, check_reply, check_request, load_recording
from rerankd_adapters.testing.server import Received

CASE: Mapping[str, Any] = {
    "name": "answered",
    "call": {"model": "m", "query": "q", "documents": ["a"]},
    "request": {"path": "/v1/rerank"},
    "response": {"json": {}},
    "reply": {"indices": [0], "scores": [0.5]},
}
ERROR: Mapping[str, Any] = {"response": {"status": 429}, "kind": "rate_limited"}
CHAT: Mapping[str, Any] = {**CASE, "call": {"model": "m", "messages": [["user", "x"]], "max_tokens": 1}}


def written(folder: Path, case: Mapping[str, Any], error: Mapping[str, Any] = ERROR, **top: Any) -> Path:
    path = folder / "acme.yaml"
    path.write_text(yaml.safe_dump({"provider": "acme", "cases": [dict(case)], "errors": [dict(error)], **top}))
    return path


@pytest.mark.parametrize(
    ("case", "error", "told"),
    [
        ({**CASE, "requst": {}}, ERROR, r"unknown field `requst` - at `\$\.cases\[0\]`"),
        ({**CASE, "request": {"bdy": {}, "path": "/"}}, ERROR, "unknown field `bdy`"),
        ({**CASE, "request": {"body": {}}}, ERROR, "missing required field `path`"),
        ({**CASE, "reply": {"indices": [0], "scores": [1], "tokens": 1}}, ERROR, "unknown field `tokens`"),
        ({**CASE, "request": None}, ERROR, "case 'answered' needs either request and response, or steps"),
        (CASE, {**ERROR, "kind": "ratelimited"}, "Invalid enum value 'ratelimited'"),
        (CASE, {**ERROR, "retry_after": 2}, r"unknown field `retry_after` - at `\$\.errors\[0\]`"),
    ],
)
def test_a_mistake_is_named_with_its_file(
    tmp_path: Path, case: Mapping[str, Any], error: Mapping[str, Any], told: str
) -> None:
    path = written(tmp_path, case, error, shape={"results": "results", "index": "index", "score": "score"})
    with pytest.raises(ValueError, match=rf"^{path}: .*{told}"):
        load_recording(path)


def test_a_mistake_in_a_recording_of_chat_is_named_too(tmp_path: Path) -> None:
    path = written(tmp_path, {**CHAT, "reply": {"text": "x", "tokens": 1}})
    with pytest.raises(ValueError, match=rf"^{path}: .*unknown field `tokens` - at `\$\.cases\[0\]\.reply`"):
        load_chat_recording(path)


def test_differences_say_what_was_found() -> None:
    received = Received(method="POST", path="/v1/rerank", headers={}, body=b'{"k": 2}')
    with pytest.raises(AssertionError, match=r"body is \{'k': 2\}, not \{'top_n': 2\}"):
        check_request(received, {"path": "/v1/rerank", "body": {"top_n": 2}})
    with pytest.raises(AssertionError, match="path is /v1/rerank, not /rerank"):
        check_request(received, {"path": "/rerank"})
    with pytest.raises(AssertionError, match=r"scores are \[0\.5\], not \[0\.4\]"):
        check_reply(ProviderReply(indices=[0], scores=[0.5]), {"indices": [0], "scores": [0.4]})
    failed = AdapterError(AdapterErrorKind.RATE_LIMITED, "slow down")
    with pytest.raises(AssertionError, match="kind is rate_limited, not unavailable: slow down"):
        check_error(failed, {"kind": "unavailable"})
    with pytest.raises(AssertionError, match="retry_after_s is None, not 2"):
        check_error(failed, {"kind": "rate_limited", "retry_after_s": 2})
