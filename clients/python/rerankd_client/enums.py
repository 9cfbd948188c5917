"""The enums of the contract, by the names they have in JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeVar

from google.protobuf.descriptor import EnumDescriptor

from rerank.v1 import rerank_service_pb2 as pb


class Truncation(StrEnum):
    """What to do with a document longer than the model's window."""

    UNSPECIFIED = "unspecified"
    """The model's own default."""
    NONE = "none"
    """Refuse the request."""
    END = "end"
    """Cut off the end of the document."""
    START = "start"
    """Cut off the start of the document."""


class CacheControl(StrEnum):
    """How the pair-score cache is used for one call."""

    UNSPECIFIED = "unspecified"
    """Read known scores and store new ones."""
    BYPASS = "bypass"
    """Neither read nor store."""
    NO_STORE = "no-store"
    """Read, but do not store."""


class ScoreNormalization(StrEnum):
    """What is done to the scores of one answer."""

    UNSPECIFIED = "unspecified"
    """As the model's settings say."""
    NONE = "none"
    """They stay the model's own."""
    MINMAX = "minmax"
    """The best document of the answer has 1, the worst 0."""
    SIGMOID = "sigmoid"
    """The logistic function, which turns logits into probabilities."""


class Scoring(StrEnum):
    """Whether a document's score depends on the other documents."""

    UNSPECIFIED = "unspecified"
    """Not known; treated as listwise."""
    POINTWISE = "pointwise"
    """It does not."""
    LISTWISE = "listwise"
    """It does."""


class ScoreSpace(StrEnum):
    """What a relevance score is."""

    UNSPECIFIED = "unspecified"
    """Not known."""
    PROBABILITY = "probability"
    """0 to 1, comparable across requests."""
    LOGIT = "logit"
    """About -12 to 12, comparable across requests."""
    COSINE = "cosine"
    """-1 to 1."""
    UNBOUNDED = "unbounded"
    """Any finite number, comparable for one query only."""
    RELATIVE = "relative"
    """0 to 1, comparable within one response only."""


class ModelStatus(StrEnum):
    """Whether a model can be called now."""

    UNSPECIFIED = "unspecified"
    """Not known."""
    AVAILABLE = "available"
    """Ready."""
    LOADING = "loading"
    """Answers, but slower or less exactly until something is loaded."""
    UNAVAILABLE = "unavailable"
    """Cannot be called; `Model.status_detail` says why."""


class ModelKind(StrEnum):
    """What answers to the name of a model."""

    UNSPECIFIED = "unspecified"
    """Not known."""
    MODEL = "model"
    """A model of a provider, or embedded."""
    RERANKER = "reranker"
    """A named configuration of a strategy over other models."""


class Strategy(StrEnum):
    """How a reranker scores."""

    UNSPECIFIED = "unspecified"
    """Not a reranker."""
    DEDICATED_MODEL = "dedicated-model"
    """One model, with results, threshold, normalization and fallbacks of its own."""
    LLM_JUDGE = "llm-judge"
    """A chat model grades each document."""
    LLM_LISTWISE = "llm-listwise"
    """A chat model orders documents, several at a time."""
    HEURISTIC = "heuristic"
    """Words, phrases, dates and lengths; no model."""
    FUSION = "fusion"
    """Several models at once, their scores or ranks joined."""
    CASCADE = "cascade"
    """Several models in turn, each for the best documents of the one before."""


class StageStatus(StrEnum):
    """How a stage ended."""

    UNSPECIFIED = "unspecified"
    """Not known."""
    OK = "ok"
    """It scored its documents."""
    FAILED = "failed"
    """It did not answer; `StageDetail.message` says why."""
    SKIPPED = "skipped"
    """It was not asked; `StageDetail.message` says why."""


E = TypeVar(
    "E",
    Truncation,
    CacheControl,
    ScoreNormalization,
    Scoring,
    ScoreSpace,
    ModelStatus,
    ModelKind,
    Strategy,
    StageStatus,
)

_DESCRIPTORS: Final[dict[type[StrEnum], EnumDescriptor]] = {
    kind: pb.DESCRIPTOR.enum_types_by_name[kind.__name__]
    for kind in (
        Truncation,
        CacheControl,
        ScoreNormalization,
        Scoring,
        ScoreSpace,
        ModelStatus,
        ModelKind,
        Strategy,
        StageStatus,
    )
}


def enum_of_number(kind: type[E], number: int) -> E:
    """Return the member with this number on the wire; `UNSPECIFIED` for one this version does not know."""
    value = _DESCRIPTORS[kind].values_by_number.get(number)
    suffix = "UNSPECIFIED" if value is None else value.name.removeprefix(_prefix(kind))
    return kind.__members__.get(suffix) or kind("unspecified")


def number_of_enum(kind: type[StrEnum], value: str) -> int:
    """Return the number on the wire of a member or its JSON name.

    Raises:
        ValueError: `value` names no member; the message lists those there are.
    """
    try:
        member = kind(value)
    except ValueError:
        known = ", ".join(repr(str(member)) for member in kind)
        raise ValueError(f"unknown {kind.__name__} {value!r}; known are {known}") from None
    return int(_DESCRIPTORS[kind].values_by_name[_prefix(kind) + member.name].number)


def _prefix(kind: type[StrEnum]) -> str:
    return _DESCRIPTORS[kind].values[0].name.removesuffix("UNSPECIFIED")
