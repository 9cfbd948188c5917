"""A chat model that orders the windows of llm-listwise as a test says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from rerankd_adapters.chat.adapter import ChatCall, ChatReply

_LINE = re.compile(r'^\[([A-Za-z]{1,2})\] (".*")$', re.MULTILINE)


def documents_in(call: ChatCall) -> dict[str, str]:
    """Return the documents of a prompt by identifier, in the order in which they are read."""
    return {found[1]: json.loads(found[2]) for found in _LINE.finditer(call.messages[-1].content)}


def best_first(worth: Callable[[str], float]) -> Callable[[ChatCall], list[str]]:
    """Return what orders the identifiers of a prompt by the worth of their documents."""

    def order(call: ChatCall) -> list[str]:
        documents = documents_in(call)
        return sorted(documents, key=lambda name: worth(documents[name]), reverse=True)

    return order


def reply_of(text: str, **fields: object) -> ChatReply:
    """Return a reply with usage."""
    defaults = {"prompt_tokens": 100, "completion_tokens": 20, "cost_usd": 0.001}
    return ChatReply(text=text, **{**defaults, **fields})  # type: ignore[arg-type]  # given by name


def listed(names: list[str]) -> str:
    """Return an answer in the form that is asked for."""
    return " > ".join(f"[{name}]" for name in names)
