"""Capabilities of a model: its limits, its scores, and what documents it accepts; its price and description."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from rerankd_adapters.parameter import Parameters

T = TypeVar("T")


class Scoring(StrEnum):
    """Whether a document's score depends on the other documents of the request.

    The adapters' counterpart of the contract's generated enum `rerankd.contract.messages.Scoring`, with the same
    values and `UNKNOWN` for `UNSPECIFIED`: adapters import nothing of the server.
    """

    UNKNOWN = "unknown"
    """Treated as listwise."""
    POINTWISE = "pointwise"
    """Each score depends on the query and one document: requests may be split, scores cached."""
    LISTWISE = "listwise"
    """Scores depend on all documents of the call and do not compare across calls: requests are never split."""


class ScoreSpace(StrEnum):
    """Range and comparability of relevance scores.

    The adapters' counterpart of the contract's generated enum `rerankd.contract.messages.ScoreSpace`, with the same
    values and `UNKNOWN` for `UNSPECIFIED`.
    """

    UNKNOWN = "unknown"
    PROBABILITY = "probability"
    """0 to 1, comparable across requests."""
    LOGIT = "logit"
    """Raw logit, comparable across requests."""
    COSINE = "cosine"
    """-1 to 1."""
    UNBOUNDED = "unbounded"
    """Any finite number, comparable for one query only."""
    RELATIVE = "relative"
    """0 to 1, comparable within one response only."""

    @property
    def is_absolute(self) -> bool:
        """Whether scores of different responses are comparable."""
        return self in (ScoreSpace.PROBABILITY, ScoreSpace.LOGIT, ScoreSpace.COSINE)


class Truncation(StrEnum):
    """How a document longer than the model's context window is handled.

    The adapters' counterpart of the contract's generated enum `rerankd.contract.messages.Truncation`, with the same
    values and `None` for `UNSPECIFIED`.
    """

    NONE = "none"
    """The request is refused."""
    END = "end"
    """The end is cut off."""
    START = "start"
    """The start is cut off."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of one model at one provider.

    A field at its default states nothing: the limit or ability is not known. Abilities that are not known are
    treated as absent.
    """

    scoring: Scoring = Scoring.UNKNOWN
    score_space: ScoreSpace = ScoreSpace.UNKNOWN
    minimum_score: float | None = None
    """Lowest score it can give. A fusion combines the scores of a model by value where this or an absolute score space
    says what they are worth, else by rank."""
    max_documents: int | None = None
    """Documents per call."""
    max_tokens_per_document: int | None = None
    """Tokens of one query-document pair."""
    max_total_tokens: int | None = None
    """Tokens of all query-document pairs of a call, summed."""
    max_request_bytes: int | None = None
    """Size of the request body in bytes."""
    cuts_passages: bool | None = None
    """Whether the provider or its adapter handles `ProviderCall.max_passages_per_doc`: it splits long documents, or
    warns that it does not. For other models the engine splits long documents before the call."""
    billing_unit: str | None = None
    """"token" or "search_unit" (one query with up to 100 documents)."""
    truncation_default: Truncation | None = None
    truncates: bool | None = None
    """Whether the server cuts documents that exceed the window, by itself or when asked. If it is known not to, the
    engine cuts them before the call."""
    takes_instruction: bool | None = None
    """Whether the model follows an instruction."""
    takes_objects: bool | None = None
    """Whether documents with fields are sent as JSON objects instead of rendered text."""
    takes_images: bool | None = None
    """Whether documents may contain an image."""
    takes_query_images: bool | None = None
    """Whether the query may be an image."""
    tokenizer: str = ""
    """Path of the model's `tokenizer.json`; empty when none is available."""
    source: str = ""
    """Document, package or server that these values were taken from."""

    @property
    def has_scale(self) -> bool:
        """Whether scores are values on a known scale, not only an order."""
        if self.minimum_score is not None:
            return True
        return self.scoring is not Scoring.LISTWISE and self.score_space.is_absolute

    def override(self, stated: Capabilities) -> Capabilities:
        """Return a copy with every field that `stated` sets replaced; a field at its default sets nothing.

        Precedence, lowest first: the provider's table, its rules, what the server reports, the settings. Every
        field has its own line here; a test fails for a field without one.
        """
        scoring, space = stated.scoring, stated.score_space
        return Capabilities(
            scoring=self.scoring if scoring is Scoring.UNKNOWN else scoring,
            score_space=self.score_space if space is ScoreSpace.UNKNOWN else space,
            minimum_score=_first(stated.minimum_score, self.minimum_score),
            max_documents=_first(stated.max_documents, self.max_documents),
            max_tokens_per_document=_first(stated.max_tokens_per_document, self.max_tokens_per_document),
            max_total_tokens=_first(stated.max_total_tokens, self.max_total_tokens),
            max_request_bytes=_first(stated.max_request_bytes, self.max_request_bytes),
            cuts_passages=_first(stated.cuts_passages, self.cuts_passages),
            billing_unit=_first(stated.billing_unit, self.billing_unit),
            truncates=_first(stated.truncates, self.truncates),
            truncation_default=_first(stated.truncation_default, self.truncation_default),
            takes_instruction=_first(stated.takes_instruction, self.takes_instruction),
            takes_objects=_first(stated.takes_objects, self.takes_objects),
            takes_images=_first(stated.takes_images, self.takes_images),
            takes_query_images=_first(stated.takes_query_images, self.takes_query_images),
            tokenizer=stated.tokenizer or self.tokenizer,
            source=stated.source or self.source,
        )

    @staticmethod
    def tightest(deployments: Sequence[Capabilities]) -> Capabilities:
        """Return capabilities that hold for every one of several deployments of a model.

        Independent of the order of `deployments`. Every field has its own rule and its own line here:

        - limits: the lowest known;
        - abilities: true if all have it, false if any is known not to, else not known;
        - `scoring`: listwise if any is listwise, else the common value, else unknown;
        - `score_space`, `minimum_score`, `truncation_default`: the common value, else unknown;
        - `billing_unit`: "search_unit" if any bills by it (chunks of 100 cost the others nothing), else the common one;
        - `tokenizer`: the only one that is declared; none if two differ;
        - `source`: all of them.

        Args:
            deployments: Capabilities of n deployments, n >= 1.
        """
        scorings = [each.scoring for each in deployments]
        units = [each.billing_unit for each in deployments]
        tokenizers = {each.tokenizer for each in deployments if each.tokenizer}
        return Capabilities(
            scoring=Scoring.LISTWISE if Scoring.LISTWISE in scorings else _agreed(scorings, Scoring.UNKNOWN),
            score_space=_agreed((each.score_space for each in deployments), ScoreSpace.UNKNOWN),
            minimum_score=_agreed((each.minimum_score for each in deployments), None),
            max_documents=_lowest(each.max_documents for each in deployments),
            max_tokens_per_document=_lowest(each.max_tokens_per_document for each in deployments),
            max_total_tokens=_lowest(each.max_total_tokens for each in deployments),
            max_request_bytes=_lowest(each.max_request_bytes for each in deployments),
            cuts_passages=_shared(each.cuts_passages for each in deployments),
            billing_unit="search_unit" if "search_unit" in units else _agreed(units, None),
            truncates=_shared(each.truncates for each in deployments),
            truncation_default=_agreed((each.truncation_default for each in deployments), None),
            takes_instruction=_shared(each.takes_instruction for each in deployments),
            takes_objects=_shared(each.takes_objects for each in deployments),
            takes_images=_shared(each.takes_images for each in deployments),
            takes_query_images=_shared(each.takes_query_images for each in deployments),
            tokenizer=tokenizers.pop() if len(tokenizers) == 1 else "",
            source="; ".join(sorted({each.source for each in deployments if each.source})),
        )


UNKNOWN: Final = Capabilities()
"""Capabilities of which nothing is known."""


def _first(stated: T | None, known: T | None) -> T | None:
    return known if stated is None else stated


def _agreed(values: Iterable[T], unknown: T) -> T:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else unknown


def _shared(abilities: Iterable[bool | None]) -> bool | None:
    distinct = set(abilities)
    if False in distinct:
        return False
    return None if None in distinct else True


def _lowest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Price of one or more models of a provider.

    The adapters' counterpart of the contract's generated message `rerankd.contract.messages.Price`, which has no
    `model`.
    """

    model: str
    """Model name or glob."""
    unit: str
    """"token", "search_unit" or "call"; a call is one request to the provider."""
    usd_per_million: float
    """US dollars per million units."""
    source: str
    date: str
    """Date the price was checked, `YYYY-MM-DD`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPrice(Price):
    """Price of one or more chat models; `usd_per_million` is that of the tokens they read."""

    unit: str = "token"
    """Always "token"."""
    output_usd_per_million: float
    """US dollars per million tokens that they write."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of one model of a provider."""

    name: str
    """The provider's name for the model, such as `rerank-v3.5`, without the provider prefix."""
    capabilities: Capabilities
    description: str = ""
    """One sentence on what it is good for."""
    price: Price | None = None
    """`None` when free or unknown."""
    license: str = ""
    """SPDX identifier of the weights' license; embedded models only."""
    source: str = ""
    """Origin of the weights or of this description."""
    revision: str = ""
    """Identifies the weights or the server. Scores of different revisions are not interchangeable. Empty when
    unknown."""
    parameters: Parameters = field(default_factory=dict)
    """Own parameters of the model's API, by name; `None`: any is sent."""
    status: str = "available"
    """"available", "loading" or "unavailable"."""
    status_detail: str = ""
    """Reason for a status other than "available"."""
    is_chat: bool = False
    """Whether it chats and does not rerank: a reranker can ask it, a rerank call cannot name it."""
