"""A server that speaks the wire formats of chat APIs and judges documents by the digit, or the yes, they begin with."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rerankd_adapters.testing import Received, ScriptedResponse

_GRADED = re.compile(r'document [0-9a-f]{16}\\n\\"(\S)')
_YES_NO = re.compile(r"<Document>: (\w+)")
_IDS = {"0": 15, "1": 16, "2": 17, "3": 18, "no": 2152, "yes": 9693}
_NOT_SERVED = ScriptedResponse.of_json({"detail": "Not Found"}, 404)


def judge(received: Received) -> ScriptedResponse:
    """Answer a request in the format of its path; an answer without a grade is `<think>`."""
    body, path = received.json(), received.path
    if path == "/tokenize":
        label = body["prompt"]
        return ScriptedResponse.of_json({"tokens": [_IDS[label]] if label in _IDS else [220, _IDS[label.strip()]]})
    found = _GRADED.search(received.body.decode()) or _YES_NO.search(received.body.decode())
    grade = found[1] if found and found[1] in _IDS else "<think>"
    if found and found[1] == "f":
        return ScriptedResponse.of_json({"error": {"message": "filtered", "code": "content_filter"}}, 400)
    if path == "/v1/chat/completions":
        return ScriptedResponse.of_json(_openai(body, grade))
    if path == "/v1/messages":
        return _messages(body, grade)
    if path.endswith(":generateContent"):
        return ScriptedResponse.of_json(_gemini(body, grade))
    if path == "/v2/chat":
        content = [{"type": "text", "text": _json(grade)}]
        return ScriptedResponse.of_json(
            {"finish_reason": "COMPLETE", "message": {"content": content}, "usage": {"tokens": _USAGE}}
        )
    if path.endswith("/converse"):
        message = {"role": "assistant", "content": [{"text": _json(grade)}]}
        usage = {"inputTokens": 10, "outputTokens": 1, "totalTokens": 11}
        return ScriptedResponse.of_json({"output": {"message": message}, "stopReason": "end_turn", "usage": usage})
    return _NOT_SERVED


_USAGE = {"input_tokens": 10, "output_tokens": 1}


def _json(grade: str) -> str:
    return json.dumps({"answer": grade})


def _tokens(grade: str) -> list[tuple[str, float]]:
    """Return the likeliest tokens: nine tenths for the grade, a tenth for the grade below it."""
    below = str(int(grade) - 1) if grade.isdigit() and grade != "0" else None
    return [(grade, math.log(0.9)), *([(below, math.log(0.1))] if below else [])]


def _openai(body: Any, grade: str) -> Any:
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": grade}, "finish_reason": "length"}
    if ids := body.get("logprob_token_ids"):
        known = {_IDS[token]: logprob for token, logprob in _tokens(grade) if token in _IDS}
        top = [{"token": f"token_id:{each}", "logprob": known.get(each, -50.0)} for each in ids]
        choice["logprobs"] = {"content": [{**max(top, key=lambda each: each["logprob"]), "top_logprobs": top}]}
    elif body.get("logprobs"):
        top = [{"token": token, "logprob": logprob} for token, logprob in _tokens(grade)]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    return {"model": body["model"], "choices": [choice], "usage": usage}


def _messages(body: Any, grade: str) -> ScriptedResponse:
    if "thinking" in body:
        message = "thinking: disabled is not supported for this model"
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        return ScriptedResponse.of_json(error, 400)
    content = [{"type": "text", "text": _json(grade)}]
    return ScriptedResponse.of_json({"content": content, "stop_reason": "end_turn", "usage": _USAGE})


def _gemini(body: Any, grade: str) -> Any:
    assert body["generationConfig"]["responseLogprobs"]
    top = [{"token": token, "logProbability": logprob} for token, logprob in _tokens(grade)]
    return {
        "candidates": [
            {
                "content": {"parts": [{"text": grade}]},
                "finishReason": "MAX_TOKENS",
                "logprobsResult": {"chosenCandidates": top[:1], "topCandidates": [{"candidates": top}]},
            }
        ],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 1},
    }
