"""What is asked of a provider and what it answers, in our own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rerankd_adapters.capability import ModelInfo, Truncation


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One call of one model: the query and a chunk of the request's documents."""

    model: str
    """The provider's own name of the model."""
    query: str
    """Not blank."""
    documents: Sequence[str]
    """n texts, n >= 1, as they are to be scored."""
    top_n: int | None = None
    """At least this many results are needed; an adapter may return more."""
    truncation: Truncation | None = None
    max_tokens_per_doc: int | None = None
    max_passages_per_doc: int = 1
    """Passages a document may be cut into (`max_chunks_per_doc` on the wire)."""
    instruction: str = ""
    prior_scores: Sequence[float] | None = None
    """One score a document from an earlier stage, or `None` when not every document has one."""
    priority: int = 0
    """0 to 999, lower first."""
    deadline_s: float | None = None
    """`time.monotonic()` at which nobody waits for the answer any more."""
    include_details: bool = False
    """Fill `Stage.positions`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options by the provider's own names."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReply:
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
