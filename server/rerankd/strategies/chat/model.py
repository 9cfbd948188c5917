"""Chat models as strategies ask them: through the deployments of a model, as rerank calls are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.messages import Usage
from rerankd.engine.models import Models
from rerankd.engine.routing.chunk_executor import ChunkResult
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.dispatch import executor_of
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.chat.adapter import ChatCall, ChatProvider, ChatReply


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The answer to one chat call."""

    result: ChunkResult[ChatReply]
    """The provider call, for `ModelResult.calls`."""

    @property
    def reply(self) -> ChatReply:
        """What the model answered."""
        return self.result.reply

    @property
    def usage(self) -> Usage:
        """What the call consumed; its `cost` is `None` if it is not known."""
        reply = self.result.reply
        return Usage(
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            total_tokens=reply.prompt_tokens + reply.completion_tokens,
            search_units=reply.search_units,
            cost=reply.cost_usd,
        )


class ChatModel(Protocol):
    """A chat model. Safe for concurrent tasks of one event loop."""

    @property
    def name(self) -> str:
        """Public name, as in responses, metrics and errors."""
        ...

    async def ask(self, call: ChatCall, context: ScoringContext, *, total: int = 1) -> ChatAnswer:
        """Complete a conversation.

        Args:
            call: `model` is replaced by that of the deployment, and `deadline_s` by the context's.
            context: Of the rerank call.
            total: Number of chat calls that the rerank call makes, as far as is known.

        Raises:
            ServiceError: The model failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class GroupChatModel:
    """Asks the deployments of one group. Satisfies `ChatModel`.

    Fallbacks of the group are not used: answers of two models do not compare, so a fallback answers whole requests.
    """

    group: ModelGroup

    @property
    def name(self) -> str:
        """See `ChatModel`."""
        return self.group.name

    async def ask(self, call: ChatCall, context: ScoringContext, *, total: int = 1) -> ChatAnswer:
        """See `ChatModel`."""
        tokens = _tokens_of(call) if self.group.limits_tokens else 0
        call = structs.replace(call, deadline_s=context.deadline_s)
        return ChatAnswer(await executor_of(self.group, context, call, tokens, total=total).run())


def chat_model(models: Models, name: str, field: str) -> GroupChatModel:
    """Resolve the name or alias of a chat model, such as `openai/gpt-4.1-mini`.

    Args:
        models: Of the engine.
        name: The name.
        field: Path of the setting or field that has it, for errors.

    Raises:
        ServiceError: `MODEL_NOT_FOUND`; `CAPABILITY_UNSUPPORTED` if a deployment of the model cannot chat.
    """
    group = models.group(name, field)
    if problem := _problem(group):
        message = f"{field}: {name} {problem}"
        raise ServiceError(
            Reason.CAPABILITY_UNSUPPORTED,
            message,
            metadata={"model": group.name, "field": field},
            violations=[FieldViolation(field, message)],
        )
    return GroupChatModel(group)


def chat_problem(models: Models, name: str) -> str:
    """Return why a model of the settings cannot be asked to chat; empty if it can, as far as is known now."""
    if models.router.name_of(name) in models.composed:
        return f"{name} is a reranker; a chat model is needed, such as openai/gpt-4.1-mini"
    group = models.router.find(name)
    problem = "" if group is None else _problem(group)
    return f"{name} {problem}" if problem else ""


def _problem(group: ModelGroup) -> str:
    for deployment in group.deployments:
        provider = deployment.provider
        if not isinstance(provider, ChatProvider):
            return f"cannot chat: provider {provider.name} has no chat models"
        if problem := provider.chat_problem(deployment.model):
            return f"cannot chat: {problem}"
    return ""


def _tokens_of(call: ChatCall) -> int:
    """Estimate the tokens that a call reads and may write."""
    return sum(ESTIMATE.count(message.content) for message in call.messages) + call.max_tokens
