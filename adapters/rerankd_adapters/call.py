"""The interface between the engine and a provider: call, reply and the `ModelProvider` protocol."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import msgspec

from rerankd_adapters.capability import ModelInfo, Truncation

_PER_DOCUMENT: Final = ("documents", "objects", "images", "prior_scores")
"""Fields of a `ProviderCall` with one entry per document."""
_PAIR_CHARS: Final = 64
"""Added to the size of each pair: its cost that does not depend on the length of its text."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Report of one stage of a multi-stage model."""

    name: str
    model: str
    documents: int
    latency_ms: float
    shortened_by: str = ""
    """"budget" if the latency budget reduced the number of scored documents, else empty."""
    positions: Sequence[int] = ()
    """Positions in the call of the scored documents; only with `include_details`."""


class RoutedReply(msgspec.Struct, frozen=True, kw_only=True):
    """What every reply of a provider reports, whatever it was asked for."""

    model: str | None = None
    """Model that answered, if the provider reports it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    search_units: int = 0
    cost_usd: float | None = None
    """Cost in US dollars, if the provider reports it."""
    warnings: Sequence[str] = ()
    stages: Sequence[Stage] = ()


R = TypeVar("R", bound=RoutedReply)
"""The reply to a call."""
R_co = TypeVar("R_co", bound=RoutedReply, covariant=True)
"""The reply in a result."""


class RoutedCall(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A call as routing sees it: it chooses a deployment, limits, times and repeats it without knowing what it asks."""

    operation: ClassVar[str] = "rerank"
    """What it asks for, as spans name it."""
    model: str
    """The provider's name for the model."""
    priority: int = 0
    """0 to 999, lower first."""
    deadline_s: float | None = None
    """Deadline in seconds of `time.monotonic()`."""
    options: Mapping[str, object] = msgspec.field(default_factory=dict)
    """Provider-specific options, by the provider's names."""

    @property
    def document_count(self) -> int:
        """Number of documents it is about."""
        raise NotImplementedError

    def size(self) -> int:
        """Return what its latency depends on, in characters."""
        raise NotImplementedError

    def send_to(self, provider: ModelProvider) -> Coroutine[Any, Any, R]:
        """Make the call.

        Raises:
            AdapterError: It failed, or the provider cannot be asked for this.
        """
        raise NotImplementedError


class ProviderReply(RoutedReply, frozen=True, kw_only=True):
    """The scores of a model. The engine validates them against the call."""

    indices: Sequence[int]
    """Zero-based positions of the scored documents in the call, in any order."""
    scores: Sequence[float]
    """Relevance scores, in the order of `indices`."""


class ProviderCall(RoutedCall[ProviderReply], frozen=True, kw_only=True):
    """One rerank call of one model: the query and a chunk of the request's documents."""

    query: str
    """Not blank, except beside a `query_image`."""
    query_image: str = ""
    """A `data:` URL in base64 or an `https:` URL; empty unless `Capabilities.takes_query_images`."""
    documents: Sequence[str]
    """n rendered texts, n >= 1; a text is empty if the document is only an image."""
    objects: Sequence[Mapping[str, object] | None] | None = None
    """n entries: the fields (JSON values) of a document that has all of `rank_fields`, else `None`. They hold the same
    content as the text. `None` instead of a list if no document has them."""
    rank_fields: Sequence[str] = ()
    """Names of the scored fields of `objects`, in this order; not empty if there are objects."""
    images: Sequence[str | None] | None = None
    """n entries: a `data:` URL in base64 or an `https:` URL, or `None` for a document without an image. `None` instead
    of a list if no document has one."""
    top_n: int | None = None
    """Minimum number of results; an adapter may return more."""
    truncation: Truncation | None = None
    max_tokens_per_doc: int | None = None
    max_passages_per_doc: int = 1
    """Maximum number of passages per document (`max_chunks_per_doc` on the wire)."""
    instruction: str = ""
    """Instruction, which the adapter must send; the engine leaves it empty unless `Capabilities.takes_instruction`."""
    prior_scores: Sequence[float] | None = None
    """n scores of an earlier stage; `None` unless every document has one."""
    documents_ranked: bool | None = None
    """Whether the documents come in the order of an earlier stage, best first; `None`: the caller does not say."""
    include_details: bool = False
    """Fill `Stage.positions`."""

    @property
    def document_count(self) -> int:
        """See `RoutedCall`."""
        return len(self.documents)

    def size(self) -> int:
        """Return the characters of all pairs of query and document, plus a constant for each pair."""
        documents = self.documents
        return sum(map(len, documents)) + len(documents) * (len(self.query) + _PAIR_CHARS)

    def send_to(self, provider: ModelProvider) -> Coroutine[Any, Any, ProviderReply]:
        """See `RoutedCall`."""
        return provider.rerank(self)

    def take(self, positions: Sequence[int]) -> ProviderCall:
        """Return a copy of the call with a subset of its documents, such as a chunk or the uncached ones.

        All fields with one entry per document are subset; `objects` and `images` become `None` if none is left.

        Args:
            positions: Zero-based positions in this call, m >= 1, in the order of the new call.
        """
        picked: dict[str, object] = {name: _pick(getattr(self, name), positions) for name in _PER_DOCUMENT}
        return msgspec.structs.replace(self, **picked)


def _pick(values: Sequence[Any] | None, positions: Sequence[int]) -> Sequence[Any] | None:
    if values is None:
        return None
    if isinstance(positions, range) and positions.step == 1:
        picked = values[positions.start : positions.stop]
    else:
        picked = list(map(values.__getitem__, positions))
    return None if all(value is None for value in picked) else picked


class ModelProvider(Protocol):
    """A provider as the engine sees it: embedded models, or a remote API."""

    name: str
    """Public name, which callers write before the slash, such as `local`."""

    def models(self) -> Sequence[ModelInfo]:
        """List the known models, ordered by name."""
        ...

    def describe(self, model: str) -> ModelInfo | None:
        """Describe a model, listed or not; `None` if it cannot be called."""
        ...

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`.

        Task-safe. Cancelling the task cancels its queued work.

        Raises:
            AdapterError: The call failed; `kind` says why.
        """
        ...

    async def close(self) -> None:
        """Release resources; calls in flight fail with `UNAVAILABLE`."""
        ...
