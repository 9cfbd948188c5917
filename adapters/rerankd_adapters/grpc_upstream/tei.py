"""Text Embeddings Inference (Hugging Face) over gRPC.

Reference: https://huggingface.github.io/text-embeddings-inference (source and proto/tei.proto of 1.9.3). Facts of
2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc

from rerankd_adapters.base import AdapterErrorKind, Capabilities, ProviderCall, ProviderReply, Truncation
from rerankd_adapters.dialect import Wire, ignored, options_of, truncation_of
from rerankd_adapters.grpc_upstream.messages import DynamicMessage, find_method
from rerankd_adapters.grpc_upstream.option_values import read_bool
from rerankd_adapters.grpc_upstream.status import kind_of_code
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.listing import is_name
from rerankd_adapters.providers.tei import served_by_tei

_INFO: Final = find_method("tei.v1.Info", "Info")
_UNARY: Final = find_method("tei.v1.Rerank", "Rerank")
_STREAM: Final = find_method("tei.v1.Rerank", "RerankStream")
_RIGHT, _LEFT = 0, 1
_SIDES: Final = {"Right": _RIGHT, "Left": _LEFT}
_RERANKER = 2
_WIRE: Final = Wire(
    model=None,
    documents="texts",
    top_n=None,
    fixed={"return_text": False},
    defaults={"raw_scores": False},
    truncation={
        Truncation.END: {"truncate": True, "truncation_direction": _RIGHT},
        Truncation.START: {"truncate": True, "truncation_direction": _LEFT},
        Truncation.NONE: {"truncate": False, "truncation_direction": _RIGHT},
    },
)


@dataclass(frozen=True, slots=True)
class TeiInfo:
    """Response of TEI's `Info` method."""

    model: str
    """Hugging Face model id."""
    is_reranker: bool
    max_documents: int
    """Maximum texts of a unary call."""
    max_tokens: int
    """Maximum tokens of a query-document pair."""
    version: str


class TeiGrpc(GrpcUpstream):
    """Adapter of a TEI server, which serves one model. With the option `streams` each text is a message of a stream."""

    method = _UNARY
    default_port = 3000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams = read_bool(self.options, "streams")
        if self._streams:
            self.method = _STREAM

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model`; streamed requests have no document limit."""
        facts = super().capabilities(model)
        return replace(facts, max_documents=None) if self._streams else facts

    def build(self, call: ProviderCall) -> DynamicMessage:
        """Build the request, or one message per text when streaming."""
        title = self.provider.title
        fields: dict[str, object] = {"query": self.query_of(call), **_WIRE.fixed, **_WIRE.defaults}
        fields.update(truncation_of(call, _WIRE, title))
        fields.update(options_of(call, _WIRE, self.parameters(call.model)))
        if isinstance(side := fields.get("truncation_direction"), str):
            fields["truncation_direction"] = _SIDES.get(side, _RIGHT)
        if not self._streams:
            return _UNARY.request(texts=call.documents, **fields)
        return self._messages(call, fields)

    def _messages(self, call: ProviderCall, fields: dict[str, object]) -> Iterator[DynamicMessage]:
        return (_STREAM.request(text=text, **fields) for text in call.documents)

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that the service has no field for."""
        return ignored(call, _WIRE, self.provider.title, self.parameters(call.model))

    def parse(self, call: ProviderCall, response: DynamicMessage) -> ProviderReply:
        """Read the ranks; TEI sends them best first, equal scores in reverse order."""
        ranks = response.ranks
        return ProviderReply(
            indices=[rank.index for rank in ranks],
            scores=[rank.score for rank in ranks],
            prompt_tokens=response.metadata.compute_tokens,
            warnings=self.warnings_of(call),
        )

    def kind_of(self, code: grpc.StatusCode, details: str) -> AdapterErrorKind:
        """Classify by message as well: failed backend, tokenization error, or a model that is not a reranker."""
        if code is not grpc.StatusCode.FAILED_PRECONDITION:
            return kind_of_code(code, details)
        if details.startswith("model is not a"):
            return AdapterErrorKind.MODEL_NOT_FOUND
        is_tokenizer = details.lower().startswith("tokenizer")
        return AdapterErrorKind.REJECTED if is_tokenizer else AdapterErrorKind.UNAVAILABLE

    async def fetch_capabilities(self) -> Mapping[str, Capabilities] | None:
        """Return the limits of the server's model, under its name and under `*`, since requests name no model."""
        info = await self.info()
        return served_by_tei(
            info.model if is_name(info.model) else "",
            is_reranker=info.is_reranker,
            max_documents=None if self._streams else info.max_documents or None,
            max_tokens=info.max_tokens or None,
            source=f"the server itself, {self.provider.list_route}",
        )

    async def info(self) -> TeiInfo:
        """Call `Info`.

        Raises:
            AdapterError: The call failed.
        """
        said = await self.ask(_INFO)
        return TeiInfo(
            model=said.model_id,
            is_reranker=said.model_type == _RERANKER,
            max_documents=said.max_client_batch_size,
            max_tokens=said.max_input_length,
            version=said.version,
        )
