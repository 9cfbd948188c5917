"""`tei.v1.Rerank` and `tei.v1.Info`, so that clients of Text Embeddings Inference over gRPC work unchanged.

Its requests name no model: the default model answers. Codes are those of our own service, which mean to its clients
what they mean there: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from importlib import metadata
from typing import Any, Final

import grpc

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse, ScoreSpace, Truncation
from rerankd.contract.service import RerankService
from rerankd.engine.ranking import Normalisation, normalise
from rerankd.rpc.behaviour import collecting, unary
from rerankd.rpc.codec import decoder
from rerankd.settings import Settings
from rerankd.telemetry.server_span import ServerTracing
from rerankd_adapters.grpc_upstream.messages import find_method

TEI_RERANK: Final = "tei.v1.Rerank"
TEI_INFO: Final = "tei.v1.Info"
_RERANK: Final = find_method(TEI_RERANK, "Rerank")
_STREAM: Final = find_method(TEI_RERANK, "RerankStream")
_INFO: Final = find_method(TEI_INFO, "Info")
_LEFT: Final = 1
_RERANKER: Final = 2
_NS_PER_MS: Final = 1_000_000
_HIGHEST: Final = 2**32 - 1


def tei_handlers(
    service: RerankService, settings: Callable[[], Settings], tracing: ServerTracing
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Build the handlers of both services; `settings` returns those of the moment."""
    servicer = _Servicer(service, settings)
    rerank: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Rerank": grpc.unary_unary_rpc_method_handler(
            unary(servicer.rerank, f"{TEI_RERANK}/Rerank", tracing), _decoder(_RERANK.request), _encode
        ),
        "RerankStream": grpc.stream_unary_rpc_method_handler(
            collecting(servicer.rerank_stream, f"{TEI_RERANK}/RerankStream", tracing),
            _decoder(_STREAM.request),
            _encode,
        ),
    }
    info: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Info": grpc.unary_unary_rpc_method_handler(
            unary(servicer.info, f"{TEI_INFO}/Info", tracing), _decoder(_INFO.request), _encode
        )
    }
    return (
        grpc.method_handlers_generic_handler(TEI_RERANK, rerank),
        grpc.method_handlers_generic_handler(TEI_INFO, info),
    )


class _Servicer:
    """Hands what TEI's clients send to the use case and back."""

    def __init__(self, service: RerankService, settings: Callable[[], Settings]) -> None:
        self._service = service
        self._settings = settings

    async def rerank(self, sent: Any, call: CallContext) -> Any:
        return await self._answer(sent, list(sent.texts), call)

    async def rerank_stream(self, messages: AsyncIterator[Any], call: CallContext) -> Any:
        first, texts = await self._collect(messages)
        return await self._answer(first, texts, call)

    async def info(self, _message: Any, call: CallContext) -> Any:
        settings = self._settings()
        model = await self._model(call)
        limits = model.limits or messages.ModelLimits()
        return _INFO.response(
            version=metadata.version("rerankd"),
            model_id=model.name,
            model_type=_RERANKER,
            max_concurrent_requests=min(settings.limits.max_concurrent_calls, _HIGHEST),
            max_input_length=limits.max_tokens_per_document,
            max_client_batch_size=min(settings.limits.max_documents, _HIGHEST),
        )

    async def _model(self, call: CallContext) -> messages.Model:
        request = messages.GetModelRequest(model=self._settings().default_model)
        return (await self._service.get_model(request, call)).model or messages.Model()

    async def _answer(self, sent: Any, texts: list[str], call: CallContext) -> Any:
        request = _request_of(sent, texts)
        response = await self._service.rerank(request, call)
        scores: Sequence[float] = [result.relevance_score for result in response.results]
        space = response.extra_fields.score_space if response.extra_fields else ScoreSpace.UNSPECIFIED
        if space is ScoreSpace.LOGIT and not sent.raw_scores:
            scores = normalise(scores, Normalisation.SIGMOID)
        return _response_of(response, request, scores, returns_texts=sent.return_text)

    async def _collect(self, messages: AsyncIterator[Any]) -> tuple[Any, list[str]]:
        """Read the whole stream, within what one call may send; the first message has the options."""
        limits = self._settings().limits
        first: Any = None
        texts: list[str] = []
        chars = 0
        async for message in messages:
            first = message if first is None else first
            texts.append(message.text)
            chars += len(message.text)
            _check_stream(message, first, len(texts), limits.max_documents)
            if chars > limits.max_request_bytes:
                raise _too_large("characters", limits.max_request_bytes)
        return first or _STREAM.request(), texts


def _check_stream(message: Any, first: Any, count: int, max_documents: int) -> None:
    if message.query != first.query:
        rule = f"query must be the same in every message; message {count} has another"
        raise invalid_request([FieldViolation("query", rule)])
    if count > max_documents:
        raise _too_large("texts", max_documents)


def _too_large(what: str, most: int) -> ServiceError:
    text = f"the stream has more than the {most} {what} this server takes in one call; send fewer"
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        text,
        metadata={"limit": str(most)},
        violations=[FieldViolation("text", text)],
    )


def _request_of(sent: Any, texts: list[str]) -> RerankRequest:
    """Build our request. `truncate` has no presence, so false is what clients send that do not care."""
    truncation = Truncation.UNSPECIFIED
    if sent.truncate:
        truncation = Truncation.START if sent.truncation_direction == _LEFT else Truncation.END
    return RerankRequest(query=sent.query, documents=list(texts), truncation=truncation)


def _response_of(
    response: RerankResponse, request: RerankRequest, scores: Sequence[float], *, returns_texts: bool
) -> Any:
    texts: list[Any] = request.documents
    answer = _RERANK.response()
    for result, score in zip(response.results, scores, strict=True):
        rank = answer.ranks.add(index=result.index, score=score)
        if returns_texts:
            rank.text = texts[result.index]
    taken = answer.metadata
    taken.compute_chars = min(sum(map(len, texts)) + len(request.query) * len(texts), _HIGHEST)
    taken.compute_tokens = response.usage.prompt_tokens if response.usage else 0
    taken.total_time_ns = round(response.extra_fields.latency * _NS_PER_MS) if response.extra_fields else 0
    return answer


def _decoder(message_type: Any) -> Callable[[bytes], Any]:
    return decoder(message_type, lambda message: message)


def _encode(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded
