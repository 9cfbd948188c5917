"""Isaacus' rerank API: https://docs.isaacus.com/api-reference/rerankings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.translation.answers import rows, token_usage
from rerankd.gateway.translation.content import QueryInput, read_query
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest


class IsaacusBody(Struct):
    """The supported fields of Isaacus' request."""

    model: str | None = None
    query: QueryInput = None
    texts: list[str] | None = None
    top_n: messages.Int32 | None = None


class Isaacus(Dialect):
    """Isaacus. Identified by its path, because the body resembles TEI's."""

    name = "isaacus"
    title = "Isaacus"
    body_type = IsaacusBody
    names: ClassVar[Names] = {"documents": ("texts",)}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        texts = body.texts or []
        return ParsedRequest(
            RerankRequest(model=body.model or "", query=read_query(body.query), documents=texts, top_n=body.top_n),
            texts,
        )

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build results and usage."""
        return {
            "results": list(rows(answer, parsed, "score")),
            "usage": {"input_tokens": token_usage(answer)["prompt_tokens"]},
        }
