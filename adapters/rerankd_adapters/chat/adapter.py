"""Chat completions: call, reply, and the base class of chat adapters. Plain data, no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Generator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from rerankd_adapters.call import ModelProvider, ProviderCall, ProviderReply, RoutedCall, RoutedReply
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.http import Endpoint, HttpAdapter, HttpRequest, HttpResponse
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.provider import Provider

_TOKEN_CHARS = 4
"""Characters that a generated token counts in the size of a call; reading is cheaper than writing."""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatReply(RoutedReply, frozen=True, kw_only=True):
    """The completion of a chat model."""

    text: str
    """What the model wrote, without its reasoning; may be empty."""
    label_probabilities: Sequence[float] | None = None
    """One for each of the call's labels, in their order, 0 to 1: of the first token, not normalised. `None` where the
    server gives none."""
    reading: LabelReading | None = None
    """How the labels were asked for; `None` for a call without labels."""
    first_token: str = ""
    """What the model wrote first, where the server reports tokens, such as `<think>`."""
    finish_reason: str = ""
    """"stop", "length" (`max_tokens` reached), or the provider's word; empty if it says none."""


class ChatCall(RoutedCall[ChatReply], frozen=True, kw_only=True):
    """One completion of a chat model."""

    operation: ClassVar[str] = "chat"
    messages: tuple[ChatMessage, ...]
    """n messages, n >= 1; the last one is the user's, or the beginning of the assistant's answer."""
    max_tokens: int
    """Tokens of the answer, at least 1."""
    temperature: float = 0.0
    labels: tuple[str, ...] = ()
    """If given: the probabilities of these answers, each of one token, are wanted."""
    reading: LabelReading | None = None
    """How to ask for them; `None`: as the deployment can, which is found out once."""
    answer_schema: Mapping[str, Any] | None = None
    """JSON schema of the answer, where the server enforces one."""
    thinking: bool = False
    """Whether the model may reason before it answers."""
    documents: int = 0
    """Number of documents it is about, for telemetry."""

    @property
    def document_count(self) -> int:
        """See `RoutedCall`."""
        return self.documents

    def size(self) -> int:
        """Return the characters that are read, and those that may be written."""
        return sum(len(message.content) for message in self.messages) + self.max_tokens * _TOKEN_CHARS

    def send_to(self, provider: ModelProvider) -> Coroutine[Any, Any, ChatReply]:
        """See `RoutedCall`.

        Raises:
            AdapterError: `UNSUPPORTED` for a provider without chat models.
        """
        if not isinstance(provider, ChatProvider):
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"provider {provider.name} has no chat models")
        return provider.chat(self)


@runtime_checkable
class ChatProvider(Protocol):
    """What a `ModelProvider` with chat models has in addition."""

    def chat_problem(self, model: str) -> str:
        """Return why a model cannot chat; empty if it can, as far as is known."""
        ...

    async def chat(self, call: ChatCall) -> ChatReply:
        """Complete a conversation. Task-safe.

        Raises:
            AdapterError: The call failed; `kind` says why.
        """
        ...


ChatExchange = Generator[HttpRequest, HttpResponse, ChatReply]
"""Generator that yields requests, receives the response to each, and returns the reply."""


class ChatAdapter(ABC):
    """Translates chat calls to one provider's HTTP API and back; no I/O, as `HttpAdapter`.

    One instance serves one endpoint and may remember what that endpoint supports.

    Args:
        provider: Declaration; it has a `chat`.
        options: Adapter options from the settings, by the names of `Provider.options`.
    """

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        self.provider = provider
        self.options: Mapping[str, object] = options or {}

    @abstractmethod
    def build(self, call: ChatCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request, or the first one of an exchange.

        Raises:
            AdapterError: `UNSUPPORTED` or `REJECTED`, naming the field.
        """

    @abstractmethod
    def parse(self, call: ChatCall, response: HttpResponse) -> ChatReply:
        """Parse the response, or the last one of an exchange; the body may be any bytes.

        Raises:
            AdapterError: The response is an error or invalid.
        """

    def must_probe(self, call: ChatCall) -> bool:
        """Whether the endpoint's abilities that `call` needs are not known yet; the next call finds them out."""
        return False

    def exchange(self, call: ChatCall, endpoint: Endpoint) -> ChatExchange:
        """Run the exchange of one call: one request unless the API needs more.

        Raises:
            AdapterError: As `build` and `parse`.
        """
        response = yield self.build(call, endpoint)
        return self.parse(call, response)


class NoRerankAdapter(HttpAdapter):
    """Refuses rerank calls, for providers that have a chat API alone."""

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Refuse the call.

        Raises:
            AdapterError: `UNSUPPORTED`.
        """
        message = f"{call.model} is a chat model: {self.provider.title} has no rerank API"
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field="model")

    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Refuse the call.

        Raises:
            AdapterError: `UNSUPPORTED`.
        """
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"{self.provider.title} has no rerank API")
