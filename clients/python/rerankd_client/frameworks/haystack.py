"""A ranker component of Haystack; needs `haystack-ai`."""

# Haystack reads the annotations of components, so they are not strings here.
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from rerankd_client.connection import API_KEY_VARIABLE
from rerankd_client.documents import Document as RerankDocument
from rerankd_client.frameworks.clients import Clients
from rerankd_client.responses import RerankResult


@component
class RerankdRanker:
    """Keeps the documents that are most relevant to the query, best first.

    What comes back are copies of the documents with the relevance as their score; the score that they came with is
    sent as `prior_score`. `run_async` of a pipeline calls it asynchronously.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        api_key: Secret | None = None,
        model: str | None = None,
        top_k: int | None = None,
        meta_fields_to_embed: list[str] | None = None,
        meta_data_separator: str = "\n",
        options: dict[str, Any] | None = None,
        client_options: dict[str, Any] | None = None,
    ) -> None:
        """Prepare the component; nothing is connected yet.

        Args:
            address: As `RerankClient` takes it; None: `RERANKD_ADDRESS`, else 127.0.0.1:50051.
            api_key: None: the variable `RERANKD_API_KEY`, where it is set.
            model: None: the server's default model.
            top_k: Documents to keep, at least 1; None: all.
            meta_fields_to_embed: Members of the metadata that are scored in front of the text.
            meta_data_separator: Put between these and the text.
            options: Other `RerankOptions`, as JSON has them.
            client_options: Other `ClientOptions`, as JSON has them, such as `ca_file` and `timeout_s`.
        """
        self.address = address
        self.api_key = api_key or Secret.from_env_var(API_KEY_VARIABLE, strict=False)
        self.model = model
        self.top_k = top_k
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.meta_data_separator = meta_data_separator
        self.options = options or {}
        self.client_options = client_options or {}
        secret = {"api_key": self.api_key.resolve_value()}
        self._clients = Clients(address, {**self.client_options, **secret}, {**self.options, "model": model})

    def to_dict(self) -> dict[str, Any]:
        """Return the component as pipelines are stored; the key stays where it is read from."""
        stored: dict[str, Any] = default_to_dict(
            self,
            address=self.address,
            api_key=self.api_key.to_dict(),
            model=self.model,
            top_k=self.top_k,
            meta_fields_to_embed=self.meta_fields_to_embed,
            meta_data_separator=self.meta_data_separator,
            options=self.options,
            client_options=self.client_options,
        )
        return stored

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RerankdRanker":
        """Make a component of what `to_dict` returned."""
        parameters = dict(data["init_parameters"])
        if isinstance(parameters.get("api_key"), dict):
            parameters["api_key"] = Secret.from_dict(parameters["api_key"])
        made: RerankdRanker = default_from_dict(cls, {**data, "init_parameters": parameters})
        return made

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Rerank the documents.

        Args:
            query: What they are compared with.
            documents: n documents; none: none come back.
            top_k: Overrides the component's.

        Raises:
            RerankError: The call failed.
        """
        results = self._clients.rerank(query, self._sent(documents), top_n=top_k or self.top_k)
        return {"documents": _kept(documents, results)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Rerank the documents without blocking the event loop; as `run`."""
        results = await self._clients.arerank(query, self._sent(documents), top_n=top_k or self.top_k)
        return {"documents": _kept(documents, results)}

    def _sent(self, documents: Iterable[Document]) -> list[RerankDocument]:
        return [
            RerankDocument(text=self._text_of(document), id=document.id, prior_score=document.score)
            for document in documents
        ]

    def _text_of(self, document: Document) -> str:
        members = [str(document.meta[name]) for name in self.meta_fields_to_embed if document.meta.get(name)]
        return self.meta_data_separator.join([*members, document.content or ""])


def _kept(documents: Sequence[Document], results: Iterable[RerankResult]) -> list[Document]:
    return [replace(documents[result.index], score=result.relevance_score) for result in results]
