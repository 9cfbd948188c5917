"""`rerank.v1.RerankService` over gRPC: each method hands contract types to the engine and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.domain import CallContext
from rerankd.response_facts import response_facts
from rerankd.rpc import convert
from rerankd.rpc.codec import accept, accept_stream, decoder, encoder
from rerankd.rpc.context import REQUEST_ID_KEY, ServicerContext, open_call
from rerankd.use_case import RerankUseCase

RERANK_SERVICE: Final = "rerank.v1.RerankService"

Request = TypeVar("Request")
Response = TypeVar("Response")


def rerank_handler(engine: RerankUseCase) -> grpc.GenericRpcHandler:
    """Build the handler that serves `rerank.v1.RerankService`."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Rerank": grpc.unary_unary_rpc_method_handler(
            _unary(engine.rerank),
            decoder(pb.RerankRequest, convert.rerank_request_from_proto),
            encoder(convert.rerank_response_to_proto),
        ),
        "ListModels": grpc.unary_unary_rpc_method_handler(
            _unary(engine.list_models),
            decoder(pb.ListModelsRequest, convert.list_models_request_from_proto),
            encoder(convert.list_models_response_to_proto),
        ),
        "GetModel": grpc.unary_unary_rpc_method_handler(
            _unary(engine.get_model),
            decoder(pb.GetModelRequest, convert.get_model_request_from_proto),
            encoder(convert.get_model_response_to_proto),
        ),
        "BatchRerank": grpc.stream_stream_rpc_method_handler(
            _stream(engine.batch_rerank),
            decoder(pb.BatchRerankRequest, convert.batch_rerank_request_from_proto),
            encoder(convert.batch_rerank_response_to_proto),
        ),
    }
    return grpc.method_handlers_generic_handler(RERANK_SERVICE, handlers)


def _unary(method: Callable[[Request, CallContext], Awaitable[Response]]) -> Any:
    async def behaviour(message: Any, context: ServicerContext) -> Response:
        call = open_call(context)
        response = await method(accept(message), call)
        if facts := response_facts(response):
            context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id), *facts))
        return response

    return behaviour


def _stream(method: Callable[[AsyncIterator[Request], CallContext], AsyncIterator[Response]]) -> Any:
    async def behaviour(messages: AsyncIterator[Any], context: ServicerContext) -> AsyncIterator[Response]:
        call = open_call(context)
        async for response in method(accept_stream(messages), call):
            yield response

    return behaviour
