"""A provider of chat models whose answers a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rerankd_adapters.base import Capabilities, ModelInfo, ProviderCall, ProviderReply
from rerankd_adapters.capability import UNKNOWN
from rerankd_adapters.chat.adapter import ChatCall, ChatReply

ChatAnswerer = Callable[[ChatCall], Awaitable[ChatReply]]


async def echo(call: ChatCall) -> ChatReply:
    """Repeat the last message."""
    return ChatReply(text=call.messages[-1].content, prompt_tokens=10, completion_tokens=2, cost_usd=0.001)


class ScriptedChat:
    """Implements `ModelProvider` and `ChatProvider` with one model, `model`; records the calls it gets."""

    def __init__(
        self, name: str = "scripted", answer: ChatAnswerer = echo, capabilities: Capabilities = UNKNOWN
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.answer = answer
        self.calls: list[ChatCall] = []
        self.cancelled = 0
        self.at_once = self.most_at_once = 0

    def models(self) -> Sequence[ModelInfo]:
        return []

    def describe(self, model: str) -> ModelInfo | None:
        return ModelInfo(model, self.capabilities, is_chat=True) if model == "model" else None

    def chat_problem(self, _model: str) -> str:
        return ""

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        raise AssertionError(f"a chat model was asked to rerank {len(call.documents)} documents")

    async def chat(self, call: ChatCall) -> ChatReply:
        self.calls.append(call)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answer(call)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        pass
