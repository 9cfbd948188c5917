"""The contract itself, under `/rerankd`: bodies are decoded strictly, responses are the contract's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.decoding import decode_json
from rerankd.gateway.translation.answers import encode
from rerankd.gateway.translation.dialect import NO_KEYS, Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Own(Dialect):
    """The contract; unknown fields are refused."""

    name = "rerankd"
    title = "rerankd, strict"
    body_type = RerankRequest
    ranks_blank_last = False
    warns_in_body = True
    keeps_text_of_strings = True

    def read(self, data: bytes, _keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode a body of the contract."""
        return self.parse(decode_json(data, RerankRequest, "the body"))

    def parse(self, body: RerankRequest, _keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Take a decoded body as it is."""
        return ParsedRequest(body, body.documents)

    def write(self, answer: RerankResponse, _parsed: ParsedRequest) -> bytes:
        """Encode the contract's response."""
        return encode(answer)
