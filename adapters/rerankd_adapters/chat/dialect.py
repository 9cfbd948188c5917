"""Base adapter for chat APIs with one JSON request and one JSON response.

Servers that speak one API differ in what they take. An adapter asks for the best there is, and learns from refusals: a
field that the server does not know is left out from then on, and labels are read in the next way that the API has.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from msgspec import structs

from rerankd_adapters.chat.adapter import ChatAdapter, ChatCall, ChatExchange, ChatReply
from rerankd_adapters.chat_api import LABEL_READING, ChatApi, ChatTraits
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.failure import (
    clean,
    error_text,
    failure_with,
    kind_of_status,
    plain_words,
    stated_status,
    told_window,
    withhold_echo,
    words_of,
)
from rerankd_adapters.http import Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.label_reading import SCHEMA_TOKENS, LabelReading, label_in_json, schema_of
from rerankd_adapters.provider import Provider
from rerankd_adapters.wire import post_json, read_json

TokenIds = Mapping[str, Sequence[int]]
"""Ids of the tokens that spell each label, at least one for each."""
_REFUSALS: Final = (400, 404, 422)
"""Statuses of a server that does not take a field."""
_MAX_REQUESTS: Final = 8
_MAX_SILENT: Final = 3
"""Answers without any text after which the way to read labels is taken for known."""
_MAX_MODELS: Final = 1024
_MAX_SEARCHED: Final = 2048
"""Bytes of a refusal that are searched for the name of a field."""
_READING_WORDS: Final[Mapping[LabelReading, tuple[str, ...]]] = {
    LabelReading.LOGPROB_TOKEN_IDS: ("logprob",),
    LabelReading.TOP_LOGPROBS: ("logprob", "logit_bias"),
    LabelReading.JSON_SCHEMA: ("response_format", "schema", "structured", "output_config", "outputconfig", "mimetype"),
}
"""Words of refusals, lower-case."""


@dataclass(slots=True)
class Learned:
    """What is known of one model of the endpoint."""

    reading: LabelReading | None = None
    """How labels are read; `None` until an answer has shown it."""
    refused: set[LabelReading] = field(default_factory=set)
    silent: int = 0
    """Answers without any text, before it was known how labels are read."""
    left_out: set[str] = field(default_factory=set)
    """Fields that the server does not take."""
    token_ids: dict[tuple[str, ...], TokenIds] = field(default_factory=dict)
    """By labels."""


class ChatDialect(ChatAdapter):
    """Adapter driven by `Provider.chat`. Subclasses give the body of a request, and read that of a response."""

    optional: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Fields that a server may refuse and that are left out then: name to words of the refusal, lower-case."""

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        if provider.chat is None:
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"provider {provider.name} has no chat models")
        self.api: ChatApi = provider.chat
        self._learned: dict[str, Learned] = {}
        self._fixed = _fixed_reading(self.options)

    @abstractmethod
    def body_of(self, call: ChatCall, reading: LabelReading | None, token_ids: TokenIds) -> dict[str, Any]:
        """Return the JSON object to send.

        Args:
            call: The call.
            reading: How its labels are read; `None` without labels.
            token_ids: As far as they are known.
        """

    @abstractmethod
    def reply_of(self, call: ChatCall, body: object, token_ids: TokenIds) -> ChatReply:
        """Return the reply in a body, without `reading`.

        Raises:
            AdapterError: `BAD_RESPONSE`.
        """

    def path_of(self, call: ChatCall) -> str:
        """Return the path below the base URL."""
        return self.api.path

    def headers(self) -> Mapping[str, str]:
        """Return the adapter's headers, without content headers and those of the endpoint."""
        return {}

    def request_of(self, call: ChatCall, endpoint: Endpoint, body: object) -> HttpRequest:
        """Build the request of a body."""
        path = self.path_of(call)
        return post_json(endpoint, path, body, self.headers(), names_model=path != self.api.path)

    def traits_of(self, call: ChatCall) -> ChatTraits:
        """Return what the model of a call takes."""
        return self.api.traits_of(call.model)

    def max_tokens_of(self, call: ChatCall, reading: LabelReading | None) -> int:
        """Return the tokens to ask for: with those of JSON around a label, and of reasoning that cannot be helped."""
        tokens = call.max_tokens
        if reading is not None and not reading.gives_probabilities:
            tokens = max(tokens, SCHEMA_TOKENS)
        return tokens if call.thinking else tokens + self.traits_of(call).thinking_tokens

    def schema_of(self, call: ChatCall, reading: LabelReading | None) -> Mapping[str, Any] | None:
        """Return the schema that the answer must have; `None` without one."""
        if call.labels:
            return schema_of(call.labels) if reading is LabelReading.JSON_SCHEMA else None
        is_taken = LabelReading.JSON_SCHEMA not in self._of(call.model).refused
        return call.answer_schema if is_taken and LabelReading.JSON_SCHEMA in self.traits_of(call).readings else None

    def build(self, call: ChatCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request, as far as is known of the endpoint."""
        learned = self._of(call.model)
        reading = self._reading_of(call, learned)
        return self._request(call, endpoint, reading, learned)

    def parse(self, call: ChatCall, response: HttpResponse) -> ChatReply:
        """Parse the response to the last request."""
        learned = self._of(call.model)
        return self._parse(call, response, self._reading_of(call, learned), learned)

    def must_probe(self, call: ChatCall) -> bool:
        """Whether it is not known how the model's labels are read."""
        return bool(call.labels) and call.reading is None and self._fixed is None and not self._of(call.model).reading

    def exchange(self, call: ChatCall, endpoint: Endpoint) -> ChatExchange:
        """Send requests until the server takes one; remember what it does not take.

        Raises:
            AdapterError: As `build` and `parse`.
        """
        learned = self._of(call.model)
        for _ in range(_MAX_REQUESTS):
            reading = self._reading_of(call, learned)
            if reading is LabelReading.LOGPROB_TOKEN_IDS and not (
                yield from self.learn_token_ids(call, endpoint, learned)
            ):
                self._refuse(call, learned, reading)
                continue
            response = yield self._request(call, endpoint, reading, learned)
            if response.status in _REFUSALS and self._adapt(call, response, reading, learned):
                continue
            reply = self._parse(call, response, reading, learned)
            if reading is None or self._is_settled(call, reply, reading, learned):
                return reply
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"{call.model} takes none of the ways to ask for labels")

    def learn_token_ids(
        self, call: ChatCall, endpoint: Endpoint, learned: Learned
    ) -> Generator[HttpRequest, HttpResponse, bool]:
        """Find the token ids of the call's labels; return whether all are known."""
        if call.labels in learned.token_ids:
            return True
        route = self.api.token_route
        if route is None:
            return False
        found: dict[str, list[int]] = {}
        for label in call.labels:
            for spelling in (label, f" {label}"):
                body = {route.text: spelling, **route.fixed} | ({"model": call.model} if route.names_model else {})
                response = yield post_json(endpoint, route.path, body, self.headers())
                ids = _ids_in(response)
                if len(ids) == 1:
                    found.setdefault(label, []).append(ids[0])
        if found.keys() != set(call.labels):
            return False
        if len(learned.token_ids) >= _MAX_MODELS:
            learned.token_ids.clear()
        learned.token_ids[call.labels] = {label: list(dict.fromkeys(ids)) for label, ids in found.items()}
        return True

    def failure_of(self, call: ChatCall, response: HttpResponse) -> AdapterError:
        """Build the error of a response with a status other than 200."""
        words = error_text(response)
        said = withhold_echo(words, (message.content for message in call.messages))
        return failure_with(said, response, self.kind_of(response), max_tokens=told_window(words))

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error response; override if the body matters."""
        return kind_of_status(response.status)

    def _request(
        self, call: ChatCall, endpoint: Endpoint, reading: LabelReading | None, learned: Learned
    ) -> HttpRequest:
        body = self.body_of(call, reading, self._token_ids(call, learned))
        sent = {name: value for name, value in body.items() if name not in learned.left_out}
        return self.request_of(call, endpoint, sent)

    def _parse(
        self, call: ChatCall, response: HttpResponse, reading: LabelReading | None, learned: Learned
    ) -> ChatReply:
        if response.status != 200:
            raise self.failure_of(call, response)
        body: object = None
        try:
            body = read_json(response)
            reply = self.reply_of(call, body, self._token_ids(call, learned))
        except AdapterError as error:
            raise _explained(error, body, call, plain_words(response)) from None
        return told_by(reply, call, reading)

    def _is_settled(self, call: ChatCall, reply: ChatReply, reading: LabelReading, learned: Learned) -> bool:
        """Whether the reply shows that labels can be read like this; the next way is tried if it does not."""
        if learned.reading is not None or call.reading is not None:
            return True
        if not reply.text and not reply.first_token:  # a blocked prompt, say, which tells nothing of the server
            learned.silent += 1
            learned.reading = reading if learned.silent >= _MAX_SILENT else None
            return True
        probabilities = reply.label_probabilities or ()
        if reading is LabelReading.LOGPROB_TOKEN_IDS:  # a server that does not know the field tells of one token alone
            shows = bool(probabilities) and all(probabilities)
        else:
            shows = bool(reply.first_token or probabilities) or not reading.gives_probabilities
        if not shows and self._refuse(call, learned, reading):
            return False
        learned.reading = reading
        return True

    def _adapt(self, call: ChatCall, response: HttpResponse, reading: LabelReading | None, learned: Learned) -> bool:
        """Leave out what a refusal names; return whether there is something else to try."""
        words = f"{error_text(response)} {response.body[:_MAX_SEARCHED].decode('utf-8', 'replace')}"
        said = withhold_echo(words, (message.content for message in call.messages)).casefold()
        for name, hints in self.optional.items():
            if name not in learned.left_out and any(word in said for word in hints):
                learned.left_out.add(name)
                return True
        if reading is None:
            return self._adapt_schema(call, said, learned)
        if learned.reading is not None:
            return False
        return any(word in said for word in _READING_WORDS.get(reading, ())) and self._refuse(call, learned, reading)

    def _adapt_schema(self, call: ChatCall, said: str, learned: Learned) -> bool:
        """Leave out the schema of an answer if a refusal names it."""
        is_sent = self.schema_of(call, None) is not None
        if not is_sent or not any(word in said for word in _READING_WORDS[LabelReading.JSON_SCHEMA]):
            return False
        learned.refused.add(LabelReading.JSON_SCHEMA)
        return True

    def _refuse(self, call: ChatCall, learned: Learned, reading: LabelReading) -> bool:
        """Note that labels cannot be read like this; return whether there is another way."""
        if call.reading is not None or self._fixed is not None:
            return False
        learned.refused.add(reading)
        return self._reading_of(call, learned) is not reading

    def _reading_of(self, call: ChatCall, learned: Learned) -> LabelReading | None:
        if not call.labels:
            return None
        known = call.reading or self._fixed or learned.reading
        left = [each for each in self.traits_of(call).readings if each not in learned.refused]
        return known or next(iter(left), LabelReading.TEXT)

    def _token_ids(self, call: ChatCall, learned: Learned) -> TokenIds:
        known = learned.token_ids.get(call.labels)
        stated = self.traits_of(call).label_token_ids
        if known is None and stated and all(label in stated for label in call.labels):
            known = {label: [stated[label]] for label in call.labels}
        return known or {}

    def _of(self, model: str) -> Learned:
        if model not in self._learned and len(self._learned) >= _MAX_MODELS:
            self._learned.clear()
        return self._learned.setdefault(model, Learned())


def _explained(error: AdapterError, body: object, call: ChatCall, text: str) -> AdapterError:
    """Add what a body without an answer says, as JSON or `text`, such as an error with status 200."""
    said = clean(withhold_echo(words_of(body) or text, (message.content for message in call.messages)))
    if said:
        error = AdapterError(error.kind, f"{error.message}: {said}")
    if (status := stated_status(body)) is not None:
        error.kind = kind_of_status(status)
    return error


def told_by(reply: ChatReply, call: ChatCall, reading: LabelReading | None) -> ChatReply:
    """Return the reply with how its label was read; the text of an answer in JSON becomes the label."""
    if reading is None:
        return reply
    text, probabilities = reply.text, reply.label_probabilities
    if reading is LabelReading.JSON_SCHEMA:
        text = label_in_json(call.labels, text) or text
    if not reading.gives_probabilities:
        probabilities = None
    return structs.replace(reply, text=text, label_probabilities=probabilities, reading=reading)


def without_reasoning(text: str) -> str:
    """Return a text without the reasoning that precedes it; as it is where the reasoning has no end."""
    start, end = "<think>", "</think>"
    begun = text.lstrip()
    if begun.startswith(start) and end in begun:
        return begun.partition(end)[2].lstrip()
    return text


def _ids_in(response: HttpResponse) -> list[int]:
    """Return the token ids of a response; none if it is an error or malformed."""
    if response.status != 200:
        return []
    try:
        body = read_json(response)
    except AdapterError:
        return []
    tokens = body.get("tokens") if isinstance(body, dict) else None
    ids = tokens if isinstance(tokens, list) else []
    return [each for each in ids if type(each) is int and each >= 0]


def _fixed_reading(options: Mapping[str, object]) -> LabelReading | None:
    told = options.get(LABEL_READING)
    if told is None or told == "auto":
        return None
    try:
        return LabelReading(str(told))
    except ValueError:
        known = ", ".join(("auto", *(each.value for each in LabelReading)))
        message = f"{LABEL_READING} must be one of {known}"
        raise AdapterError(AdapterErrorKind.REJECTED, message) from None
