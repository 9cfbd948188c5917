"""A provider on the loopback interface, in a thread of its own, beside real servers that call it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rerankd_adapters.testing import LoopbackServer, Received, ScriptedResponse
from rerankd_adapters.testing.server import Respond

TEI_LIMIT = 32


class Upstream:
    """Serves while its context is open.

    Args:
        respond: Called in the thread, once a request.
    """

    def __init__(self, respond: Respond) -> None:
        self._server = LoopbackServer(respond)
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """Base URL, without a path."""
        return self._server.url

    @property
    def received(self) -> list[Received]:
        """Every request so far."""
        return self._server.received

    @property
    def calls(self) -> list[Received]:
        """Every request so far that has a body: not those by which a server learns what there is, at any time."""
        return [request for request in self.received if request.body]

    @property
    def clients_left(self) -> int:
        """How many clients went away from an answer that stalled."""
        return self._server.clients_left

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_open.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with self._server:
            self._is_open.set()
            await self._closing.wait()


def score(query: str, document: Any) -> float:
    """Score a pair by itself, as a pointwise model would: the share of the document that is the query's words."""
    words = _text(document).split()
    return sum(word in query.split() for word in words) / max(len(words), 1)


def _text(document: Any) -> str:
    return document if isinstance(document, str) else " ".join(map(str, document.values()))


def ranked(query: str, documents: Sequence[Any]) -> list[tuple[int, float]]:
    """Return (index, score) pairs in an order of the provider's own: best first, ties in reverse."""
    pairs = [(index, score(query, document)) for index, document in enumerate(documents)]
    return sorted(pairs, key=lambda pair: (-pair[1], -pair[0]))


def answer_well(request: Received) -> ScriptedResponse:
    """Answer as the server at this path would: Cohere's, Jina's and vLLM's, TEI's, or one of its own."""
    body = request.json() if request.body else {}
    if request.path == "/v2/rerank":
        units = math.ceil(len(body["documents"]) / 100)
        return ScriptedResponse.of_json({"results": _results(body), "meta": {"billed_units": {"search_units": units}}})
    if request.path == "/rerank" and "texts" in body:
        return _answer_as_tei(body)
    if request.path in ("/v1/rerank", "/rerank"):
        usage = {"prompt_tokens": _tokens(body["documents"]), "total_tokens": _tokens(body["documents"])}
        return ScriptedResponse.of_json({"model": body["model"], "results": _results(body), "usage": usage})
    if request.path == "/api/rank":
        pairs = ranked(body["question"], body["answers"])
        return ScriptedResponse.of_json(
            {"output": {"ranked": [{"position": at, "points": value} for at, value in pairs]}}
        )
    return ScriptedResponse.of_json({"message": f"no route {request.path}"}, status=404)


def _results(body: Any) -> list[dict[str, Any]]:
    pairs = ranked(body["query"], body["documents"])[: body.get("top_n")]
    return [{"index": index, "relevance_score": value} for index, value in pairs]


def _answer_as_tei(body: Any) -> ScriptedResponse:
    texts = body["texts"]
    if len(texts) > TEI_LIMIT:
        fault = f"batch size {len(texts)} > maximum allowed batch size {TEI_LIMIT}"
        return ScriptedResponse.of_json({"error": fault, "error_type": "Validation"}, status=422)
    results = [{"index": index, "score": value} for index, value in ranked(body["query"], texts)]
    return ScriptedResponse.of_json(results, headers={"x-compute-tokens": str(_tokens(texts))})


def _tokens(documents: Sequence[Any]) -> int:
    return sum(len(_text(document).split()) for document in documents)
