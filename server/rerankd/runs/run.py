"""A run: what is logged of one call. The structs are in no cycle, so the garbage collector need not know them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rerankd.contract.messages import StageDetail, Usage

Capture = Literal["none", "hashes", "truncated", "full"]
LeftOut = Literal["texts", "fields", "images"]
"""What of a request was not kept, or not all of it: texts, fields and metadata of documents, images."""


class RunDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """A document of a run."""

    index: int
    """In the request."""
    text: str = ""
    """As it was scored: whole, or its beginning."""
    hash: str = ""
    """BLAKE2b of the text, 32 hexadecimal digits, where it is not kept whole."""
    id: str = ""
    """The caller's."""
    chars: int = 0
    """Of the whole text."""
    fields: dict[str, Any] | None = None
    """The caller's, where requests are kept whole and guardrails changed nothing of this document; as what follows."""
    prior_score: float | None = None
    """The caller's, where texts are kept."""
    own_text: str | None = None
    """The caller's `text` where that is not what was scored, but fields; `None` where it is."""
    metadata: dict[str, Any] | None = None
    """The caller's."""
    image: str = ""
    """The caller's."""


class RunResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A result of a run, written as `[index, relevance_score]`."""

    index: int
    relevance_score: float


class RunAttempt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One provider call of a run."""

    provider: str
    model: str
    deployment: str
    chunk_index: int
    number: int
    """1 for the first attempt at the chunk."""
    documents: int
    latency_ms: float
    outcome: str
    """`ok`, the kind of the failure, or `cancelled`."""
    started_ms: float = 0.0
    """Milliseconds from the call's start."""
    search_units: int = 0
    cost_usd: float | None = None


class RunMember(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One request of a reranker to a member."""

    name: str
    model: str
    documents: int
    latency_ms: float
    outcome: str
    """`ok`, the `ErrorReason`, or `cancelled`."""


class RunDetails(msgspec.Struct, omit_defaults=True, gc=False):
    """What is read for one run alone, not for lists of them."""

    query: str = ""
    """As it was scored: whole, its beginning, or its hash; empty where nothing is kept."""
    query_hash: str = ""
    """Hash of a query of which the beginning is kept."""
    scored_documents: int = 0
    """Documents that models were given: blank ones are not."""
    documents: list[RunDocument] = []
    """The best ranked first; of a failed call in the order of the request."""
    blank_documents: list[RunDocument] = []
    """Those that no model was given, where requests are kept whole."""
    query_image: str = ""
    """The caller's, where requests are kept whole."""
    left_out: dict[LeftOut, str] = {}
    """What of the request was not kept, each with the setting because of which it was not."""
    results: list[RunResult] = []
    """Best first."""
    parameters: dict[str, Any] = {}
    """`top_n`, `score_threshold` and other fields that the request set, texts not among them."""
    requested_model: str = ""
    """As the caller named it."""
    stages: list[StageDetail] = []
    members: list[RunMember] = []
    attempts: list[RunAttempt] = []
    events: list[str] = []
    """Retries, hedges and fallbacks, one sentence each."""
    usage: Usage | None = None
    warnings: list[str] = []
    provider: str = ""
    deployment: str = ""
    score_space: str = ""


class Run(msgspec.Struct, omit_defaults=True, gc=False):
    """One logged call. What lists and filters need, and the details where they were read."""

    run_id: str
    started_at: float
    """Seconds since 1970."""
    latency_ms: float
    source: str
    """`api` (HTTP), `grpc`, `batch`, `playground` or `replay`."""
    transport: str
    status: Literal["ok", "error"]
    dialect: str = ""
    caller: str = ""
    key_id: str = ""
    user: str = ""
    model: str = ""
    """The model that answered, or was asked first."""
    reranker: str = ""
    """Key of the reranker that answered; empty for models."""
    reranker_version: int = 0
    """From 1; 0 for a reranker of the settings."""
    strategy: str = ""
    reason: str = ""
    """The `ErrorReason` of a failed call."""
    query: str = ""
    """The beginning of the query, as the capture policy allows."""
    document_count: int = 0
    result_count: int = 0
    total_tokens: int = 0
    cost_usd: float | None = None
    cache_hits: int = 0
    trace_id: str = ""
    request_id: str = ""
    replay_of: str = ""
    experiment_id: str = ""
    capture: Capture = "none"
    """What `details` keeps of texts."""
    details: RunDetails | None = None

    @property
    def asked(self) -> str:
        """What was asked, as far as it is known: the model's name in the request, else the reranker, else the model."""
        requested = "" if self.details is None else self.details.requested_model
        return requested or self.reranker or self.model
