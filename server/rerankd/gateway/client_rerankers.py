"""The routes of `/api/client/v1`: rerankers by their keys, run with bodies and answers like Cohere's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract import reranker_messages as rerankers
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.field_paths import rename_fields
from rerankd.contract.service import RerankerService
from rerankd.gateway.route_table import Route


class ClientDocument(Struct):
    """A document that is not a bare string; other keys are ignored."""

    text: str | None = None
    content: str | None = None
    """The same as `text`, which counts if there are both."""
    id: str | None = None
    score: float | None = None
    """Relevance given by an earlier stage."""
    metadata: dict[str, Any] | None = None


class ClientRerank(Struct):
    """A request to rerank; other keys, such as Cohere's `model`, are ignored."""

    key: str = ""
    """From the path."""
    query: str | None = None
    documents: list[str | ClientDocument] | None = None
    top_n: messages.Int32 | None = None
    top_n_camel: messages.Int32 | None = msgspec.field(default=None, name="topN")


class ClientResult(Struct, omit_defaults=True):
    """One document with its score."""

    index: int
    relevance_score: float
    document: dict[str, Any]


class ClientAnswer(Struct):
    """Documents in order of relevance."""

    id: str
    results: list[ClientResult]
    meta: dict[str, Any]


def _route(http_method: str, path: str, rpc: str, method: str, request: type[Any], response: type[Any]) -> Route:
    has_body = http_method == "POST"
    return Route(http_method, f"/api/client/v1/{path}", rpc, "", method, request, response, has_body, None, False)


CLIENT_ROUTES: Final = (
    _route(
        "GET",
        "rerankers",
        "ListClientRerankers",
        "list_client_rerankers",
        rerankers.ListRerankersRequest,
        rerankers.ListRerankersResponse,
    ),
    _route(
        "GET",
        "rerank/{key}",
        "GetClientReranker",
        "get_client_reranker",
        rerankers.GetRerankerRequest,
        rerankers.GetRerankerResponse,
    ),
    _route("POST", "rerank/{key}", "RunClientReranker", "run_client_reranker", ClientRerank, ClientAnswer),
)


class ClientRerankers:
    """Answers these routes by the service of rerankers, which checks the callers. Safe for any number of calls.

    Args:
        service: Of rerankers.
    """

    def __init__(self, service: RerankerService) -> None:
        self._service = service
        self.handlers: Mapping[str, Callable[..., Any]] = {
            "ListClientRerankers": service.list_rerankers,
            "GetClientReranker": service.get_reranker,
            "RunClientReranker": self._run,
        }
        """Handlers by `Route.rpc`; each takes request and context."""

    async def _run(self, body: ClientRerank, call: CallContext) -> ClientAnswer:
        """Rerank with one reranker."""
        sent = body.documents or []
        request = rerankers.RunRerankerRequest(
            key=body.key,
            query=body.query or "",
            documents=[_document(each, index) for index, each in enumerate(sent)],
            top_n=body.top_n_camel if body.top_n is None else body.top_n,
        )
        try:
            answer = await self._service.run_reranker(request, msgspec.structs.replace(call, source="api"))
        except ServiceError as error:
            raise _in_own_names(error, body) from None
        return ClientAnswer(
            id=answer.id,
            results=[
                ClientResult(result.index, result.score, _returned(sent[result.index])) for result in answer.results
            ],
            meta={
                "api_version": {"version": call.api_version},
                "reranker": answer.reranker,
                "strategy": answer.strategy,
                "model": answer.model,
                "latency_ms": answer.latency_ms,
                **({"warnings": answer.warnings} if answer.warnings else {}),
            },
        )


def _document(sent: str | ClientDocument, index: int) -> rerankers.RunDocument:
    if isinstance(sent, str):
        return rerankers.RunDocument(content=sent)
    text = sent.content if sent.text is None else sent.text
    if text is None:
        rule = f"documents[{index}] must have text or content"
        raise invalid_request([FieldViolation(f"documents[{index}]", rule)])
    return rerankers.RunDocument(content=text, id=sent.id or "", score=sent.score, metadata=sent.metadata)


def _returned(sent: str | ClientDocument) -> dict[str, Any]:
    if isinstance(sent, str):
        return {"text": sent}
    text = sent.content if sent.text is None else sent.text
    facts = {"id": sent.id, "metadata": sent.metadata}
    return {"text": text, **{name: value for name, value in facts.items() if value is not None}}


def _in_own_names(error: ServiceError, body: ClientRerank) -> ServiceError:
    """Return an error with the names that the body has for fields."""

    def rename(field: str) -> str:
        if field == "top_n" and body.top_n is None:
            return "topN"
        sent = body.documents or []
        index = field.removeprefix("documents[").partition("]")[0]
        if field.endswith(".content") and index.isdecimal() and int(index) < len(sent):
            document = sent[int(index)]
            return field if isinstance(document, ClientDocument) and document.text is None else field[:-7] + "text"
        return field

    return rename_fields(error, rename)
