"""Asks a chat model for the order of one window of documents after another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.wording import counted
from rerankd.engine.scoring.model_result import ChunkCall
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.strategies.chat.model import ChatModel, GroupChatModel
from rerankd.strategies.chat.stage import beginning_of
from rerankd.strategies.listwise.answers import (
    FIRST_TOKENS,
    AnswerOutcome,
    AnswerReading,
    read_answer,
    read_probabilities,
)
from rerankd.strategies.listwise.prompts import ListwisePrompts, WindowPrompt, answer_schema
from rerankd.strategies.listwise.settings import LlmListwiseConfig
from rerankd.telemetry.strategy_events import window_ordered
from rerankd_adapters.chat.adapter import ChatCall, ChatReply

_ATTEMPTS: Final = 2
_REPAIRED: Final = (AnswerOutcome.WRONG_FORMAT, AnswerOutcome.REPETITION, AnswerOutcome.MISSING)


@dataclass(slots=True)
class Windows:
    """The windows of one request.

    Args:
        config: Of the reranker.
        model: The chat model.
        prompts: Of the request.
        context: Of the stage.
        indices: Index in the request of each document.
        priority: Of the request.
        total: Windows that are asked for.
    """

    config: LlmListwiseConfig
    model: GroupChatModel
    prompts: ListwisePrompts
    context: ScoringContext
    indices: Sequence[int]
    priority: int
    total: int
    calls: list[ChunkCall] = field(default_factory=list)
    """Every chat call."""
    outcomes: Counter[AnswerOutcome] = field(default_factory=Counter)
    """Of all answers."""
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        limit = self.config.concurrency
        self._slots = asyncio.Semaphore(min(limit, self.model.group.max_concurrent or limit))

    async def order(self, positions: Sequence[int]) -> Sequence[int]:
        """Return the documents at `positions`, n >= 2, best first.

        Raises:
            ServiceError: The model failed; `PROVIDER_BAD_RESPONSE` if its answers name less than half of the documents.
        """
        async with self._slots:
            for attempt in range(_ATTEMPTS):
                prompt = self.prompts.of(positions, attempt)
                reply = await self._ask(positions, prompt)
                reading = self._read(reply, prompt, positions)
                self.outcomes[reading.outcome] += 1
                window_ordered(self.model.name, reading.outcome)
                if reading.outcome is not AnswerOutcome.UNUSABLE:
                    return [positions[each] for each in reading.order]
        raise _unreadable(self.model, reply, reading, len(positions))

    async def _ask(self, positions: Sequence[int], prompt: WindowPrompt) -> ChatReply:
        answer = self.config.answer
        call = ChatCall(
            model="",
            messages=prompt.messages,
            max_tokens=self.config.max_answer_tokens(len(positions)),
            labels=tuple(FIRST_TOKENS[: len(positions)]) if answer == "first_token" else (),
            answer_schema=answer_schema(prompt.ids) if answer == "json" else None,
            priority=self.priority,
            documents=len(positions),
        )
        found = await self.model.ask(call, self.context, total=self.total)
        self.calls.append(ChunkCall([self.indices[position] for position in positions], found.result))
        return found.reply

    def _read(self, reply: ChatReply, prompt: WindowPrompt, positions: Sequence[int]) -> AnswerReading:
        """Read an answer; documents that it does not name follow in the order so far, not in that of the reading."""
        behind = sorted(range(len(positions)), key=positions.__getitem__)
        if self.config.answer != "first_token":
            return read_answer(reply.text, prompt.ids, behind)
        if reply.reading is not None and not reply.reading.gives_probabilities:
            raise _no_probabilities(self.model)
        told = reply.label_probabilities or [0.0] * len(positions)
        return read_probabilities([told[FIRST_TOKENS.index(name)] for name in prompt.ids], behind)

    def warnings(self) -> list[str]:
        """Return what was repaired, and what was asked for again."""
        found = []
        repaired = {each: self.outcomes[each] for each in _REPAIRED if self.outcomes[each]}
        if repaired:
            named = ", ".join(f"{each.value} {count}" for each, count in repaired.items())
            answers = f"{sum(repaired.values())} of {counted(self.outcomes.total(), 'answer')} of {self.model.name}"
            found.append(f"{answers} did not keep to the form and were repaired: {named}")
        if again := self.outcomes[AnswerOutcome.UNUSABLE]:
            found.append(f"{counted(again, 'answer')} of {self.model.name} could not be read and was asked for again")
        return found


def _unreadable(model: ChatModel, reply: ChatReply, reading: AnswerReading, count: int) -> ServiceError:
    cause = beginning_of(reply)
    if reply.finish_reason == "length":
        cause += " and was cut off"
    hint = "; serve it without reasoning" if "<think" in cause else ""
    return ServiceError(
        Reason.PROVIDER_BAD_RESPONSE,
        f"{model.name} gave no order: {_ATTEMPTS} answers named less than half of {count} documents, the last one"
        f" {reading.named}; {cause}{hint}",
        metadata={"model": model.name, "documents": str(count), "named": str(reading.named), "cause": cause},
    )


def _no_probabilities(model: ChatModel) -> ServiceError:
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        f"{model.name} tells no probabilities of its first token, which answer: first_token needs; set answer: text",
        metadata={"model": model.name},
    )
