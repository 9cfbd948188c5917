"""The calls of the service as values: which method, what is sent, how the answer is read.

Both clients perform them; nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.health import HEALTH_CHECK_PATH, HealthStatus, decode_health
from rerankd_client.models import Model, decode_model
from rerankd_client.requests import DocumentInput, encode_request
from rerankd_client.responses import RerankResponse, decode_response
from rerankd_client.warming import WarmedDocuments, decode_warmed, encode_warm_request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Method:
    """A unary method."""

    path: str
    """Full name, as `/package.Service/Method`."""
    response_type: type[Message]
    """What it answers with."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a unary method."""

    method: Method
    """What to call."""
    request: Message
    """What to send."""
    decode: Callable[[Any], T]
    """Builds the result from the response."""


@dataclass(frozen=True, slots=True)
class ModelPage:
    """Some of the models."""

    models: tuple[Model, ...]
    """In order of their names."""
    next_page_token: str
    """Token of the next page; empty on the last."""


RERANK: Final = Method("/rerank.v1.RerankService/Rerank", pb.RerankResponse)
LIST_MODELS: Final = Method("/rerank.v1.RerankService/ListModels", pb.ListModelsResponse)
GET_MODEL: Final = Method("/rerank.v1.RerankService/GetModel", pb.GetModelResponse)
WARM_DOCUMENTS: Final = Method("/rerank.v1.RerankService/WarmDocuments", pb.WarmDocumentsResponse)
CHECK_HEALTH: Final = Method(HEALTH_CHECK_PATH, Int32Value)
UNARY_METHODS: Final = (RERANK, LIST_MODELS, GET_MODEL, WARM_DOCUMENTS, CHECK_HEALTH)
BATCH_RERANK_PATH: Final = "/rerank.v1.RerankService/BatchRerank"


def rerank_call(query: str, documents: Iterable[DocumentInput], options: Mapping[str, object]) -> Call[RerankResponse]:
    """Build a `Rerank` call; errors as `encode_request`."""
    return Call(RERANK, encode_request(query, documents, options), decode_response)


def list_models_call(provider: str | None, page_size: int | None, page_token: str) -> Call[ModelPage]:
    """Build the call for one page of models."""
    request = pb.ListModelsRequest(provider=provider or "", page_size=page_size, page_token=page_token)
    return Call(LIST_MODELS, request, _decode_page)


def get_model_call(name: str) -> Call[Model]:
    """Build a `GetModel` call."""
    return Call(GET_MODEL, pb.GetModelRequest(model=name), lambda response: decode_model(response.model))


def warm_documents_call(documents: Iterable[DocumentInput], options: Mapping[str, object]) -> Call[WarmedDocuments]:
    """Build a `WarmDocuments` call; errors as `encode_request`."""
    return Call(WARM_DOCUMENTS, encode_warm_request(documents, options), decode_warmed)


def health_call(service: str) -> Call[HealthStatus]:
    """Build a health check."""
    return Call(CHECK_HEALTH, StringValue(value=service), decode_health)


def serialize(message: Message) -> bytes:
    """Return the bytes of a unary request."""
    return message.SerializeToString()


def serialize_batch(message: pb.BatchRerankRequest) -> bytes:
    """Return the bytes of a message of a batch."""
    return message.SerializeToString()


def _decode_page(message: pb.ListModelsResponse) -> ModelPage:
    return ModelPage(tuple(decode_model(model) for model in message.models), message.next_page_token)
