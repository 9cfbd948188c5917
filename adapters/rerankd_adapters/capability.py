"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
