from __future__ import annotations

import asyncio
import time

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, WarmDocumentsRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall
from rerankd_adapters.warming import WarmReply
from tests.support.providers import ScriptedProvider

CALL = CallContext("r1")


class WarmingScript(ScriptedProvider):
    """Keeps no vectors, but says that it does."""

    error: AdapterError | None = None
    hangs = False

    async def warm(self, call: ProviderCall) -> WarmReply:
        self.calls.append(call)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return WarmReply(warmed=len(call.documents), warnings=["noted"])


def engine(provider: ScriptedProvider) -> Engine:
    return Engine(Router([provider], default_model="scripted/model"), RequestLimits(max_concurrent_calls=2))


async def test_documents_are_warmed_as_later_calls_will_read_them() -> None:
    provider = WarmingScript()
    documents: list[str | Document] = ["a", "", Document(text="x", fields={"title": "b"}), " "]
    request = WarmDocumentsRequest(documents=documents, rank_fields=["title"], max_chunks_per_doc=3)
    answer = await engine(provider).warm_documents(request, CALL)
    assert (answer.model, answer.warmed, answer.already_warm, answer.skipped) == ("scripted/model", 2, 0, 2)
    assert answer.warnings == ["2 documents without content skipped", "noted"]
    (call,) = provider.calls
    assert (list(call.documents), call.max_passages_per_doc) == (["a", "b"], 3)


async def test_nothing_but_blank_documents_asks_no_provider() -> None:
    provider = WarmingScript()
    answer = await engine(provider).warm_documents(WarmDocumentsRequest(documents=["", " "]), CALL)
    assert (answer.warmed, answer.skipped, provider.calls) == (0, 2, [])


async def test_a_model_that_keeps_no_vectors_is_refused() -> None:
    with pytest.raises(ServiceError, match="keeps no document vectors") as refused:
        await engine(ScriptedProvider()).warm_documents(WarmDocumentsRequest(documents=["a"]), CALL)
    assert refused.value.reason is Reason.CAPABILITY_UNSUPPORTED


async def test_a_failure_names_the_document_of_the_request() -> None:
    provider = WarmingScript()
    provider.error = AdapterError(AdapterErrorKind.REJECTED, "too long", field="documents[1].text")
    with pytest.raises(ServiceError, match="too long") as failed:
        await engine(provider).warm_documents(WarmDocumentsRequest(documents=["a", "", "b"]), CALL)
    assert [violation.field for violation in failed.value.violations] == ["documents[2].text"]


async def test_the_deadline_ends_it_and_its_place_is_free_again() -> None:
    provider = WarmingScript()
    warming = engine(provider)
    for _ in range(3):
        provider.hangs = True
        late = CallContext("r1", deadline_s=time.monotonic() + 0.05)
        with pytest.raises(ServiceError) as ended:
            await warming.warm_documents(WarmDocumentsRequest(documents=["a"]), late)
        assert ended.value.reason is Reason.DEADLINE_EXCEEDED
    provider.hangs = False
    assert (await warming.warm_documents(WarmDocumentsRequest(documents=["a"]), CALL)).warmed == 1
