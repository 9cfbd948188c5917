"""What a model takes and gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Scoring(StrEnum):
    """Whether a document's score depends on the other documents of the request."""

    UNKNOWN = "unknown"
    """Treated as listwise."""
    POINTWISE = "pointwise"
    """It does not: requests may be split and scores cached."""
    LISTWISE = "listwise"
    """It does: scores of two calls do not compare, so requests are not split by them."""


class ScoreSpace(StrEnum):
    """What a relevance score is."""

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
        """Whether a score means the same in every response."""
        return self in (ScoreSpace.PROBABILITY, ScoreSpace.LOGIT, ScoreSpace.COSINE)


class Truncation(StrEnum):
    """What happens to a document longer than the model's window."""

    NONE = "none"
    """The request is refused."""
    END = "end"
    """The end is cut off."""
    START = "start"
    """The start is cut off."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model of one provider takes and gives. `None` means no limit is known."""

    scoring: Scoring = Scoring.UNKNOWN
    score_space: ScoreSpace = ScoreSpace.UNKNOWN
    max_documents: int | None = None
    """Documents in one call."""
    max_tokens_per_document: int | None = None
    """Tokens of query and document together."""
    max_total_tokens: int | None = None
    """Tokens of all pairs together."""
    max_request_bytes: int | None = None
    """Bytes of one request's body."""
    cuts_passages: bool = False
    """Whether `ProviderCall.max_passages_per_doc` is its own affair: it cuts long documents, or warns that it does not.
    The documents of other models are cut before they get them."""
    billing_unit: str | None = None
    """"token" or "search_unit" (one query with up to 100 documents)."""
    truncation_default: Truncation | None = None
    takes_instruction: bool = False
    """Whether the model follows an instruction."""
    takes_objects: bool = False
    """Whether documents with fields are sent as they are, not as text."""
    takes_images: bool = False
    """Whether a document may be, or have, an image."""
    tokenizer: str = ""
    """Path of the model's `tokenizer.json`, where it is at hand."""
    source: str = ""
    """Where these facts were read."""

    def override(self, stated: Capabilities) -> Capabilities:
        """Return these capabilities with every field that `stated` states in place of the field here.

        Used for rules over a provider's table, a server's own facts over both, and the settings over all. A field of
        `stated` states nothing while it is `UNKNOWN`, `None`, false or empty. Every field has a line of its own.
        """
        scoring, space = stated.scoring, stated.score_space
        return Capabilities(
            scoring=self.scoring if scoring is Scoring.UNKNOWN else scoring,
            score_space=self.score_space if space is ScoreSpace.UNKNOWN else space,
            max_documents=_first(stated.max_documents, self.max_documents),
            max_tokens_per_document=_first(stated.max_tokens_per_document, self.max_tokens_per_document),
            max_total_tokens=_first(stated.max_total_tokens, self.max_total_tokens),
            max_request_bytes=_first(stated.max_request_bytes, self.max_request_bytes),
            cuts_passages=stated.cuts_passages or self.cuts_passages,
            billing_unit=_first(stated.billing_unit, self.billing_unit),
            truncation_default=_first(stated.truncation_default, self.truncation_default),
            takes_instruction=stated.takes_instruction or self.takes_instruction,
            takes_objects=stated.takes_objects or self.takes_objects,
            takes_images=stated.takes_images or self.takes_images,
            tokenizer=stated.tokenizer or self.tokenizer,
            source=stated.source or self.source,
        )

    @staticmethod
    def tightest(deployments: Sequence[Capabilities]) -> Capabilities:
        """Return what holds for a call whichever of several deployments of one model answers it.

        The order of `deployments` makes no difference. Limits: the lowest known. Abilities: those that all have.
        `scoring`: listwise if any is, else what all agree on. `score_space`, `truncation_default`: what all agree on,
        else not known. `billing_unit`: "search_unit" if any bills by it, since chunks that suit it cost the others
        nothing. `tokenizer`: the only one that is known. Every field has a line of its own.

        Args:
            deployments: Capabilities of n deployments, n >= 1.
        """
        scorings = [each.scoring for each in deployments]
        units = [each.billing_unit for each in deployments]
        tokenizers = {each.tokenizer for each in deployments if each.tokenizer}
        return Capabilities(
            scoring=Scoring.LISTWISE if Scoring.LISTWISE in scorings else _agreed(scorings, Scoring.UNKNOWN),
            score_space=_agreed((each.score_space for each in deployments), ScoreSpace.UNKNOWN),
            max_documents=_lowest(each.max_documents for each in deployments),
            max_tokens_per_document=_lowest(each.max_tokens_per_document for each in deployments),
            max_total_tokens=_lowest(each.max_total_tokens for each in deployments),
            max_request_bytes=_lowest(each.max_request_bytes for each in deployments),
            cuts_passages=all(each.cuts_passages for each in deployments),
            billing_unit="search_unit" if "search_unit" in units else _agreed(units, None),
            truncation_default=_agreed((each.truncation_default for each in deployments), None),
            takes_instruction=all(each.takes_instruction for each in deployments),
            takes_objects=all(each.takes_objects for each in deployments),
            takes_images=all(each.takes_images for each in deployments),
            tokenizer=tokenizers.pop() if len(tokenizers) == 1 else "",
            source="; ".join(sorted({each.source for each in deployments if each.source})),
        )


def _first(stated: T | None, known: T | None) -> T | None:
    return known if stated is None else stated


def _agreed(values: Iterable[T], unknown: T) -> T:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else unknown


def _lowest(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What models of a provider cost."""

    model: str
    """Name or glob."""
    unit: str
    """"token" or "search_unit"."""
    usd_per_million: float
    """US dollars for a million units."""
    source: str
    date: str
    """Day the price was read, `YYYY-MM-DD`."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model a provider offers."""

    name: str
    """The provider's own name, such as `rerank-v3.5`, without the provider."""
    capabilities: Capabilities
    description: str = ""
    """One sentence on what it is good for."""
    price: Price | None = None
    """`None` when it is free or not known."""
    license: str = ""
    """SPDX identifier of the weights' licence; models run by us only."""
    source: str = ""
    """Where the weights or facts come from."""
    revision: str = ""
    """Which weights, or which server, answers; scores of two revisions are not the same. Empty when not known."""
    status: str = "available"
    """"available", "loading" or "unavailable"."""
    status_detail: str = ""
    """Why it is not available, or what is loading."""
