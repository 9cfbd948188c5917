"""A server that speaks chat APIs and orders documents by the digit they begin with, the highest first."""

from __future__ import annotations

import json
import re
from typing import Any

from rerankd_adapters.testing import Received, ScriptedResponse

_LINE = re.compile(r'^\[([A-Za-z]{1,2})\] "(.)', re.MULTILINE)


def order(received: Received) -> ScriptedResponse:
    """Answer a request in the format of its path.

    The model `silent` writes nothing, `chatty` says more than it is asked for and forgets the last document, and
    `thinking` names one document alone before its answer is cut off.
    """
    body, path = received.json(), received.path
    names = [name for name, _ in sorted(_LINE.findall(_prompt(body)), key=lambda found: found[1], reverse=True)]
    if path == "/v1/chat/completions":
        return ScriptedResponse.of_json(_openai(body, names))
    text = " > ".join(f"[{name}]" for name in names)
    if path == "/v1/messages":
        usage = {"input_tokens": 10, "output_tokens": 5}
        content = [{"type": "text", "text": text}]
        return ScriptedResponse.of_json({"content": content, "stop_reason": "end_turn", "usage": usage})
    if path.endswith("/converse"):
        message = {"role": "assistant", "content": [{"text": text}]}
        usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        return ScriptedResponse.of_json({"output": {"message": message}, "stopReason": "end_turn", "usage": usage})
    return ScriptedResponse.of_json({"detail": "Not Found"}, 404)


def _prompt(body: Any) -> str:
    """Return the text of the last message in any of the formats."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content)


def _openai(body: Any, names: list[str]) -> Any:
    text = " > ".join(f"[{name}]" for name in names)
    texts = {
        "silent": "",
        "chatty": f"Gladly! {' > '.join(f'[{name}]' for name in names[:-1])}",
        "thinking": f"<think>So [{names[0]}] ...",
    }
    if "response_format" in body:
        text = json.dumps({"ranking": names})
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": texts.get(body["model"], text)},
        "finish_reason": "stop",
    }
    if body.get("logprobs"):
        top = [{"token": name, "logprob": -0.5 - at} for at, name in enumerate(names)]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"model": body["model"], "choices": [choice], "usage": usage}
