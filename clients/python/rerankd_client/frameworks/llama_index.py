"""A node postprocessor of LlamaIndex; needs `llama-index-core`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr, SecretStr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from rerankd_client.documents import Document
from rerankd_client.frameworks.clients import Clients
from rerankd_client.responses import RerankResult

_dispatcher = get_dispatcher(__name__)


class RerankdRerank(BaseNodePostprocessor):
    """Keeps the nodes that are most relevant to the query, best first.

    What comes back are the same nodes with the relevance as their score; the score that they came with is sent as
    `prior_score`. `apostprocess_nodes` is asynchronous.

    Raises:
        RerankError: A call failed.
    """

    address: str | None = Field(
        default=None, description="As RerankClient takes it; None: RERANKD_ADDRESS, else 127.0.0.1:50051."
    )
    api_key: SecretStr | None = Field(default=None, exclude=True, description="None: RERANKD_API_KEY.")
    model: str | None = Field(default=None, description="None: the server's default model.")
    top_n: int | None = Field(default=None, description="Nodes to keep, at least 1; None: all.")
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata is scored with the text of a node."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Other RerankOptions.")
    client_options: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        exclude=True,
        description="Other ClientOptions, such as ca_file and timeout_s.",
    )
    _clients: Clients = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepare the clients; nothing is connected yet."""
        super().model_post_init(context)
        secret = {"api_key": self.api_key.get_secret_value() if self.api_key else None}
        call = {**self.options, "model": self.model, "top_n": self.top_n}
        self._clients = Clients(self.address, {**self.client_options, **secret}, call)

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex stores the component."""
        return "RerankdRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        with self._told(nodes, query_bundle) as kept:
            kept.extend(_chosen(nodes, self._clients.rerank(_query_of(query_bundle), self._sent(nodes))))
        return kept

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        with self._told(nodes, query_bundle) as kept:
            kept.extend(_chosen(nodes, await self._clients.arerank(_query_of(query_bundle), self._sent(nodes))))
        return kept

    def _sent(self, nodes: Iterable[NodeWithScore]) -> list[Document]:
        return [
            Document(
                text=node.node.get_content(metadata_mode=self.metadata_mode),
                id=node.node.node_id,
                prior_score=node.score,
            )
            for node in nodes
        ]

    @contextmanager
    def _told(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None) -> Iterator[list[NodeWithScore]]:
        """Tell LlamaIndex's instrumentation and callbacks of the call; gives the list that is to be filled."""
        query = _query_of(query_bundle)
        top_n, model = self.top_n or len(nodes), self.model or ""
        kept: list[NodeWithScore] = []
        _dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=top_n, model_name=model))
        payload = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: model,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield kept
            event.on_end(payload={EventPayload.NODES: kept})
        _dispatcher.event(ReRankEndEvent(nodes=kept))


def _query_of(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise ValueError("reranking needs the query: give query_str or query_bundle")
    query: str = query_bundle.query_str
    return query


def _chosen(nodes: Sequence[NodeWithScore], results: Iterable[RerankResult]) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[result.index].node, score=result.relevance_score) for result in results]
