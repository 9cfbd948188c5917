"""The contract itself, under `/rerankd`: bodies are decoded strictly, responses are the contract's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.decoding import decode_json
from rerankd.gateway.dialects.base import NO_KEYS, Dialect, ParsedRequest, encode


class Own(Dialect):
    """The contract; unknown fields are refused."""

    name = "rerankd"
    title = "rerankd, strict"

    def read(self, data: bytes, _keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode a body of the contract."""
        request = decode_json(data, RerankRequest, "the body")
        return ParsedRequest(request, request.documents)

    def write(self, answer: RerankResponse, _parsed: ParsedRequest) -> bytes:
        """Encode the contract's response."""
        return encode(answer)
