"""Base class of the dialects: decodes request bodies, encodes responses and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.decoding import decode_with, keys_of
from rerankd.gateway.refusal import superset_body
from rerankd.gateway.sliced_decoding import SlicedDecoder
from rerankd.gateway.translation.answers import encode
from rerankd.gateway.translation.content import read_content
from rerankd.gateway.translation.documents import as_documents
from rerankd.gateway.translation.field_names import Names, part_of_document, part_of_query, used_name
from rerankd.gateway.translation.own_fields import take_own_fields, take_passed_parameters
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody, as_truth
from rerankd.gateway.translation.warning_headers import as_headers

NO_KEYS: Final[Mapping[str, msgspec.Raw]] = {}


class Dialect:
    """One service's rerank API. Stateless; safe for any number of calls.

    A subclass overrides what differs: the type of the body, its conversion to the contract, and the form of responses
    and errors. The defaults suit services that resemble Cohere and Jina.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """Name of the service, for the table in docs/dialects.md."""
    body_type: ClassVar[type[Struct]] = RerankBody
    ranks_blank_last: ClassVar[bool] = True
    """Whether blank documents are ranked last, unless the settings say otherwise; if not, the request is refused."""
    echoes_documents: ClassVar[bool] = False
    """Default of `return_documents`."""
    reads_zero_top_n_as_all: ClassVar[bool] = False
    warns_in_body: ClassVar[bool] = False
    """Whether the body of a response has the warnings; if not, they are in headers."""
    names: ClassVar[Names] = {}
    """Names of the contract's fields, for errors, where they differ."""
    other_lists: ClassVar[tuple[str, ...]] = ()
    """Names of lists besides the documents that may have an item a document."""
    keeps_text_of_strings: ClassVar[bool] = False
    """Whether errors call a document that is a string `documents[3].text`, as the contract does, or `documents[3]`."""

    def __init__(self) -> None:
        self.long_lists = (*self.names.get("documents", ("documents",)), *self.other_lists)
        """Names of the lists of a body that may have an item a document."""
        self._decode = msgspec.json.Decoder(self.body_type).decode
        self._sliced = SlicedDecoder(self.body_type)

    def read(self, data: bytes, keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode and parse a body.

        Args:
            data: JSON text in UTF-8.
            keys: Top-level keys of the body, if the dialect was identified by them.

        Raises:
            ServiceError: `INVALID_REQUEST`, with the field's path in the dialect's own names.
        """
        decoded = decode_with(self._decode, data, self.body_type, "the body")
        return self._parse_all(decoded, keys, keys or keys_of(data))

    async def read_large(self, data: bytes, keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode and parse a large body as `read` does, yielding the event loop between slices of its documents.

        Raises:
            ServiceError: As `read`.
        """
        all_keys = keys or keys_of(data)
        decoded = await self._sliced.decode(all_keys)
        return self.read(data, keys) if decoded is None else self._parse_all(decoded, keys, all_keys)

    def _parse_all(
        self, decoded: Any, keys: Mapping[str, msgspec.Raw], all_keys: Mapping[str, msgspec.Raw]
    ) -> ParsedRequest:
        """Parse a decoded body, and take its fields that the dialect does not have."""
        parsed = self.parse(decoded, keys)
        parsed.body = decoded
        own_names, warnings = take_own_fields(parsed.request, all_keys, self.body_type)
        passed = take_passed_parameters(self.name, parsed.request, all_keys)
        parsed.own_names = {*own_names, *passed} if passed else own_names
        if passed:
            parsed.mapped = dict.fromkeys(passed.keys() & {*self.body_type.__struct_encode_fields__}, "")
            parsed.mapped |= self.map_parameters(parsed, passed)
        if warnings:
            parsed.warnings = [*parsed.warnings, *warnings]
        return parsed

    def map_parameters(self, _parsed: ParsedRequest, _passed: Mapping[str, Any]) -> Mapping[str, str]:
        """Set what parameters of the dialect's own service mean for other models.

        Args:
            _parsed: The request to change.
            _passed: The parameters, by name.

        Returns:
            The names that were mapped: each with the warning for models that do not have it, empty for none.
        """
        return {}

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        documents = body.documents or []
        query = read_content(body.query, "query")
        request = RerankRequest(
            model=body.model or "",
            query=query.text,
            query_image=query.image,
            documents=as_documents(documents, body.rank_fields),
            top_n=self.top_n(body.top_n),
            rank_fields=body.rank_fields or [],
            max_chunks_per_doc=body.max_chunks_per_doc,
            max_tokens_per_doc=body.max_tokens_per_doc,
            priority=body.priority,
            instruction=body.instruction or "",
            user=body.user or "",
        )
        returns = as_truth(body.return_documents, "return_documents")
        return ParsedRequest(request, documents, self.echoes_documents if returns is None else returns)

    def name_of(self, field: str, parsed: ParsedRequest) -> str:
        """Return the path of a field of the contract as the caller wrote it."""
        return used_name(self.names.get(field, (field,)), parsed.body)

    def query_path(self, parsed: ParsedRequest, _index: int | None) -> str:
        """Return the path of the query as the caller wrote it."""
        return part_of_query(self.name_of("query", parsed), getattr(parsed.body, "query", None))

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of a document's part as the caller wrote it."""
        path, sent = f"{self.name_of('documents', parsed)}[{index}]", parsed.documents[index]
        if isinstance(sent, dict):
            return part_of_document(path, sent, part)
        is_whole = not part or (isinstance(sent, str) and not self.keeps_text_of_strings)
        return path if is_whole else f"{path}.{part}"

    def top_n(self, given: int | None) -> int | None:
        """Return the number of results to return; None for all."""
        return None if given == 0 and self.reads_zero_top_n_as_all else given

    def write(self, answer: RerankResponse, parsed: ParsedRequest) -> bytes:
        """Encode a response."""
        return encode(self.answer(answer, parsed))

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build the body of a response."""
        raise NotImplementedError

    def headers(self, _answer: RerankResponse) -> RawHeaders:
        """List the response headers specific to this dialect."""
        return []

    def warning_headers(self, answer: RerankResponse, parsed: ParsedRequest) -> RawHeaders:
        """List the warnings as headers, unless the body has them."""
        if self.warns_in_body:
            return []
        return as_headers((*parsed.warnings, *(answer.meta.warnings if answer.meta is not None else ())))

    def status(self, error: ServiceError) -> int:
        """Return the HTTP status of an error."""
        return error.http_status

    def refusal(self, error: ServiceError, request_id: str) -> Any:
        """Build the body of an error."""
        return superset_body(error, request_id)

    def refusal_headers(self, _error: ServiceError) -> RawHeaders:
        """List the error headers specific to this dialect."""
        return []
