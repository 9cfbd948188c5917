"""`rerank.v1.RerankService` over gRPC: each method hands contract types to the engine and back."""

from __future__ import annotations

from typing import Any, Final

import grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.service import RerankUseCase
from rerankd.rpc import convert
from rerankd.rpc.behaviour import streaming, unary
from rerankd.rpc.codec import decoder, encoder

RERANK_SERVICE: Final = "rerank.v1.RerankService"


def rerank_handler(engine: RerankUseCase) -> grpc.GenericRpcHandler:
    """Build the handler that serves `rerank.v1.RerankService`."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Rerank": grpc.unary_unary_rpc_method_handler(
            unary(engine.rerank, f"{RERANK_SERVICE}/Rerank"),
            decoder(pb.RerankRequest, convert.rerank_request_from_proto),
            encoder(convert.rerank_response_to_proto),
        ),
        "ListModels": grpc.unary_unary_rpc_method_handler(
            unary(engine.list_models, f"{RERANK_SERVICE}/ListModels"),
            decoder(pb.ListModelsRequest, convert.list_models_request_from_proto),
            encoder(convert.list_models_response_to_proto),
        ),
        "GetModel": grpc.unary_unary_rpc_method_handler(
            unary(engine.get_model, f"{RERANK_SERVICE}/GetModel"),
            decoder(pb.GetModelRequest, convert.get_model_request_from_proto),
            encoder(convert.get_model_response_to_proto),
        ),
        "BatchRerank": grpc.stream_stream_rpc_method_handler(
            streaming(engine.batch_rerank, f"{RERANK_SERVICE}/BatchRerank"),
            decoder(pb.BatchRerankRequest, convert.batch_rerank_request_from_proto),
            encoder(convert.batch_rerank_response_to_proto),
        ),
    }
    return grpc.method_handlers_generic_handler(RERANK_SERVICE, handlers)
