"""The rerank API of SGLang. Requests do not identify it: it is selected by its mount or `x-rerank-dialect` only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import numbered_error, text_rows
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody


class SgLangBody(RerankBody):
    """The common body plus `instruct`, SGLang's name of the instruction."""

    instruct: str | None = None


class SgLang(Dialect):
    """SGLang. The response is a list."""

    name = "sglang"
    title = "SGLang"
    body_type = SgLangBody
    names: ClassVar[Names] = {"instruction": ("instruction", "instruct")}

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields and `instruct`."""
        parsed = super().parse(body, keys)
        parsed.request.instruction = body.instruct or parsed.request.instruction
        return parsed

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the list of index, score and document."""
        return text_rows(answer, parsed, "score")

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)
