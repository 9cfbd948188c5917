"""Declaration of a provider's chat API, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from rerankd_adapters.capability import ChatPrice
from rerankd_adapters.label_reading import LabelReading

LABEL_READING: Final = "label_reading"
"""Option of every provider with chat models."""
CHAT_OPTIONS: Final[Mapping[str, str]] = {
    LABEL_READING: "How its chat models tell which label they answer: "
    + ", ".join(f"`{each.value}`" for each in LabelReading)
    + "; default: found out at the first call of a model.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTraits:
    """What the models of a name pattern take; the first match applies."""

    models: str = "*"
    """Glob of model names."""
    thinking_off: Mapping[str, Any] = field(default_factory=dict)
    """Fields that switch reasoning off, or as low as it goes."""
    thinking_on: Mapping[str, Any] = field(default_factory=dict)
    """Fields that switch reasoning on."""
    thinking_tokens: int = 0
    """Added to the tokens of an answer, for models whose reasoning cannot be switched off."""
    takes_temperature: bool = True
    readings: tuple[LabelReading, ...] = (LabelReading.JSON_SCHEMA, LabelReading.TEXT)
    """How labels can be read, best first."""
    label_token_ids: Mapping[str, int] = field(default_factory=dict)
    """Ids of the tokens of some labels; an equal bias raises these among the likeliest tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRoute:
    """A route that splits a text into token ids."""

    path: str
    text: str
    """Field of the text in the request."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the request; the response has the ids in `tokens`."""
    names_model: bool = False
    """Whether the request has a `model`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatApi:
    """Declaration of a provider's chat API; account and credentials are those of the provider."""

    adapter: str
    """`module:Class` of the `ChatAdapter`."""
    reference: str
    """URL of its documentation."""
    checked: str
    """Date of the last check against the reference, `YYYY-MM-DD`."""
    base_url: str = ""
    """Public base URL if it differs from the provider's."""
    models: tuple[str, ...] = ()
    """Globs of the models that chat and do not rerank; without a rerank API, all do."""
    path: str = "/v1/chat/completions"
    """Path below the base URL."""
    max_tokens: str = "max_tokens"
    """Field of the most tokens of an answer."""
    top_logprobs: int = 20
    """Tokens whose log-probabilities are asked for."""
    token_route: TokenRoute | None = None
    """Tells the token ids of labels; `None` without one."""
    traits: tuple[ChatTraits, ...] = (ChatTraits(),)
    """Of its models; the last one matches any name."""
    prices: tuple[ChatPrice, ...] = ()
    """Prices; the first match wins."""
    quirks: tuple[str, ...] = ()
    """Known peculiarities, one sentence each, for the provider's page."""

    def serves(self, model: str) -> bool:
        """Whether a model is known to chat and not to rerank."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def traits_of(self, model: str) -> ChatTraits:
        """Return what a model takes."""
        return next((each for each in self.traits if fnmatchcase(model, each.models)), ChatTraits())
