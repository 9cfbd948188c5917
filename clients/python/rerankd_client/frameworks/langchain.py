"""A document compressor of LangChain; needs `langchain-core`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, PrivateAttr, SecretStr

from rerankd_client.documents import Document as RerankDocument
from rerankd_client.frameworks.clients import Clients, json_value
from rerankd_client.responses import RerankResult

CONTENT = "page_content"
"""Name by which `rank_fields` mean the document's text."""


class RerankdCompressor(BaseDocumentCompressor):
    """Keeps the documents that are most relevant to the query, best first.

    What comes back are copies of the documents with `relevance_score` in their metadata. `acompress_documents` is
    asynchronous.

    Raises:
        RerankError: A call failed.
    """

    address: str | None = None
    """As `RerankClient` takes it; None: `RERANKD_ADDRESS`, else 127.0.0.1:50051."""
    api_key: SecretStr | None = None
    """None: `RERANKD_API_KEY`."""
    model: str | None = None
    """None: the server's default model."""
    top_n: int | None = None
    """Documents to keep, at least 1; None: all."""
    rank_fields: list[str] | None = None
    """Members of the metadata that are scored, in this order; `page_content` is the text. None: the text alone."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Other `RerankOptions`."""
    client_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Other `ClientOptions`, such as `ca_file` and `timeout_s`."""
    _clients: Clients = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepare the clients; nothing is connected yet."""
        super().model_post_init(context)
        secret = {"api_key": self.api_key.get_secret_value() if self.api_key else None}
        call = {**self.options, "model": self.model, "top_n": self.top_n, "rank_fields": self.rank_fields}
        self._clients = Clients(self.address, {**self.client_options, **secret}, call)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - LangChain passes it
    ) -> Sequence[Document]:
        """Rerank the documents."""
        return self._kept(documents, self._clients.rerank(query, self._sent(documents)))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - LangChain passes it
    ) -> Sequence[Document]:
        """Rerank the documents without blocking the event loop."""
        return self._kept(documents, await self._clients.arerank(query, self._sent(documents)))

    def _sent(self, documents: Iterable[Document]) -> list[RerankDocument]:
        return [self._encode(document) for document in documents]

    def _encode(self, document: Document) -> RerankDocument:
        fields = None
        if self.rank_fields:
            members = {**document.metadata, CONTENT: document.page_content}
            fields = {name: json_value(members[name]) for name in self.rank_fields if name in members}
        return RerankDocument(text=document.page_content, id=document.id or "", fields=fields)

    def _kept(self, documents: Sequence[Document], results: Iterable[RerankResult]) -> list[Document]:
        kept = []
        for result in results:
            document = documents[result.index]
            metadata = {**document.metadata, "relevance_score": result.relevance_score}
            kept.append(document.model_copy(update={"metadata": metadata}))
        return kept
