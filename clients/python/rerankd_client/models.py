"""What `list_models` and `get_model` return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.enums import ModelKind, ModelStatus, ScoreSpace, Scoring, Strategy, Truncation, enum_of_number


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What a provider takes in one call; None where no limit is known."""

    max_documents: int | None
    """Documents."""
    max_tokens_per_document: int | None
    """Tokens of query and document together."""
    max_total_tokens: int | None
    """Tokens of all pairs together."""
    max_request_bytes: int | None
    """Bytes of the provider's request."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs."""

    unit: str
    """What is counted: "token" or "search_unit"."""
    usd_per_million: float
    """US dollars for a million units."""
    source: str
    """Where the price was read."""
    date: str
    """When it was read, as YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be named in a call."""

    name: str
    """The name to send as `model`."""
    provider: str
    """Who runs it, such as "cohere" or "local"."""
    description: str
    """One sentence on what it is good for."""
    aliases: tuple[str, ...]
    """Other names for it."""
    limits: ModelLimits
    """What it takes in one call."""
    scoring: Scoring
    """Pointwise or listwise."""
    score_space: ScoreSpace
    """What its scores mean."""
    truncation_default: Truncation
    """What happens to documents longer than the window when the caller does not say."""
    takes_images: bool
    """Whether documents may have images."""
    takes_query_images: bool
    """Whether the query may be an image."""
    deployments: tuple[str, ...]
    """What it is served by, for models of the operator's own; else empty."""
    price: Price | None
    """None when free or unknown."""
    status: ModelStatus
    """Whether it can be called now."""
    status_detail: str
    """Why it is not available, or what is loading."""
    license: str
    """SPDX identifier of the weights' licence; local models only."""
    source: str
    """Where the facts or weights come from."""
    kind: ModelKind
    """A model, or a reranker over models."""
    strategy: Strategy
    """How a reranker scores; `UNSPECIFIED` for models."""
    members: tuple[str, ...]
    """Models that a reranker asks; empty for models."""
    message: pb.Model = field(repr=False, compare=False)
    """The message as it came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model as the HTTP interface writes it in JSON: proto names, zeros included."""
        return json_format.MessageToDict(
            self.message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        ) | {
            "scoring": str(self.scoring),
            "score_space": str(self.score_space),
            "truncation_default": str(self.truncation_default),
            "status": str(self.status),
            "kind": str(self.kind),
            "strategy": str(self.strategy),
        }


def decode_model(message: pb.Model) -> Model:
    """Build a `Model` from its message."""
    limits, price = message.limits, message.price
    return Model(
        name=message.name,
        provider=message.provider,
        description=message.description,
        aliases=tuple(message.aliases),
        limits=ModelLimits(
            max_documents=limits.max_documents or None,
            max_tokens_per_document=limits.max_tokens_per_document or None,
            max_total_tokens=limits.max_total_tokens or None,
            max_request_bytes=limits.max_request_bytes or None,
        ),
        scoring=enum_of_number(Scoring, message.scoring),
        score_space=enum_of_number(ScoreSpace, message.score_space),
        truncation_default=enum_of_number(Truncation, message.truncation_default),
        takes_images=message.takes_images,
        takes_query_images=message.takes_query_images,
        deployments=tuple(message.deployments),
        price=Price(price.unit, price.usd_per_million, price.source, price.date) if message.HasField("price") else None,
        status=enum_of_number(ModelStatus, message.status),
        status_detail=message.status_detail,
        license=message.license,
        source=message.source,
        kind=enum_of_number(ModelKind, message.kind),
        strategy=enum_of_number(Strategy, message.strategy),
        members=tuple(message.members),
        message=message,
    )
