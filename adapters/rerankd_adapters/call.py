"""What is asked of a provider and what it answers, in our own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from rerankd_adapters.capability import ModelInfo, Truncation

_PER_DOCUMENT: Final = ("documents", "objects", "images", "prior_scores")
"""Fields of a `ProviderCall` that have one entry a document."""


class ProviderCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one model: the query and a chunk of the request's documents."""

    model: str
    """The provider's own name of the model."""
    query: str
    """Not blank."""
    documents: Sequence[str]
    """n texts, n >= 1, as they are to be scored; empty where a document is an image alone."""
    objects: Sequence[Mapping[str, Any] | None] | None = None
    """For each document that has all of `rank_fields` its fields (JSON values), which say the same as its text;
    `None` in the place of any other, and in place of them all when there is none."""
    rank_fields: Sequence[str] = ()
    """Names of the fields of `objects` that are scored, in this order; not empty where there are objects."""
    images: Sequence[str | None] | None = None
    """For each document its image, a `data:` URL in base64 or an `https:` URL; `None` where there is none, and
    in place of them all when no document has one."""
    top_n: int | None = None
    """At least this many results are needed; an adapter may return more."""
    truncation: Truncation | None = None
    max_tokens_per_doc: int | None = None
    max_passages_per_doc: int = 1
    """Passages a document may be cut into (`max_chunks_per_doc` on the wire)."""
    instruction: str = ""
    """Always obeyed; empty where `Capabilities.takes_instruction` is false, which whoever makes the call checks."""
    prior_scores: Sequence[float] | None = None
    """One score a document from an earlier stage, or `None` when not every document has one."""
    priority: int = 0
    """0 to 999, lower first."""
    deadline_s: float | None = None
    """`time.monotonic()` at which nobody waits for the answer any more."""
    include_details: bool = False
    """Fill `Stage.positions`."""
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Options by the provider's own names."""

    def take(self, positions: Sequence[int]) -> ProviderCall:
        """Return the same call of some of its documents: a chunk, a window, those that are not cached.

        Everything that has one entry a document is picked; where none of the picked documents has an image or
        an object, neither has the call.

        Args:
            positions: Zero-based positions in this call, n >= 1, in the order of the new call.
        """
        picked: dict[str, Any] = {name: _pick(getattr(self, name), positions) for name in _PER_DOCUMENT}
        return msgspec.structs.replace(self, **picked)


def _pick(values: Sequence[Any] | None, positions: Sequence[int]) -> Sequence[Any] | None:
    if values is None:
        return None
    if isinstance(positions, range) and positions.step == 1:
        picked = values[positions.start : positions.stop]
    else:
        picked = list(map(values.__getitem__, positions))
    return None if all(value is None for value in picked) else picked


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage of a model that scores in several did."""

    name: str
    model: str
    documents: int
    latency_ms: float
    shortened_by: str = ""
    """"budget" when it scored fewer documents than it would have."""
    positions: Sequence[int] = ()
    """Positions in the call of the documents it scored; only on request."""


class ProviderReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered. Never trusted: the engine checks it against the call."""

    indices: Sequence[int]
    """Zero-based position in the call of each scored document, in any order."""
    scores: Sequence[float]
    """Relevance score of each, in the order of `indices`."""
    model: str | None = None
    """The model that answered, where the provider says."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    search_units: int = 0
    cost_usd: float | None = None
    """Price in US dollars, where the provider says."""
    warnings: Sequence[str] = ()
    stages: Sequence[Stage] = ()


class ModelProvider(Protocol):
    """What the engine calls: models in this process, or a deployment reached over a network."""

    name: str
    """What callers write before the slash, such as `local`."""

    def models(self) -> Sequence[ModelInfo]:
        """List the models whose names are known, ordered by name."""
        ...

    def describe(self, model: str) -> ModelInfo | None:
        """Describe the model of this name, listed or not; `None` when it cannot be called."""
        ...

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`.

        Safe to call from many tasks at once. Cancelling the task frees the work that was queued for it.

        Raises:
            AdapterError: With the kind that says why.
        """
        ...

    async def close(self) -> None:
        """Stop the workers; calls under way fail with `UNAVAILABLE`."""
        ...
