"""A provider whose answers a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rerankd_adapters.base import Capabilities, ModelInfo, ProviderCall, ProviderReply, ScoreSpace, Scoring
from rerankd_adapters.parameter import Parameters

Answer = Callable[[ProviderCall], Awaitable[ProviderReply]]

FACTS = Capabilities(scoring=Scoring.POINTWISE, score_space=ScoreSpace.PROBABILITY)


async def by_length(call: ProviderCall) -> ProviderReply:
    """Score a document by its length."""
    scores = [float(len(document)) for document in call.documents]
    return ProviderReply(indices=range(len(scores)), scores=scores, prompt_tokens=len(scores))


class ScriptedProvider:
    """Implements `ModelProvider`; records the calls it gets."""

    def __init__(self, name: str = "scripted", facts: Capabilities = FACTS, **answers: Answer) -> None:
        self.name = name
        self.facts = facts
        self.calls: list[ProviderCall] = []
        self.cancelled = 0
        self.parameters: Parameters = None
        """Of the API; default: it takes any."""
        self._answers = answers or {"model": by_length}

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name, self.facts) for name in sorted(self._answers)]

    def describe(self, model: str) -> ModelInfo | None:
        return ModelInfo(model, self.facts, parameters=self.parameters) if model in self._answers else None

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        self.calls.append(call)
        try:
            return await self._answers[call.model](call)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def close(self) -> None:
        pass


def named(**answers: Answer) -> list[ScriptedProvider]:
    """Make providers by name, each with one answer."""
    return [ScriptedProvider(name, model=answer) for name, answer in answers.items()]


def calls_of(scripted: Sequence[ScriptedProvider]) -> list[int]:
    """Count the calls that each provider got."""
    return [len(provider.calls) for provider in scripted]
