"""Calls that bring their own key and address, against a provider on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rerankd.contract.errors import Reason
from rerankd.providers.settings import ProviderSettings
from rerankd.sdk import Reranker, RerankError
from rerankd.sdk.engine_pool import MAX_ENGINES
from rerankd.settings import Settings
from rerankd_adapters.testing import ScriptedResponse
from tests.support.blocking_tls import BlockingTlsServer
from tests.support.certificates import server_context
from tests.support.upstream import Upstream, answer_well

DOCUMENTS = ["red blue", "green", "red"]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_well) as opened:
        yield opened


@pytest.fixture
def reranker() -> Iterator[Reranker]:
    with Reranker(Settings()) as opened:
        yield opened


def test_key_and_address_of_the_call(reranker: Reranker, upstream: Upstream) -> None:
    response = reranker.rerank(
        "cohere/rerank-v3.5",
        "red",
        DOCUMENTS,
        api_key="secret-1",
        api_base=upstream.url,
        extra_headers={"X-Team": "search"},
        top_n=2,
    )

    assert [result.index for result in response.results] == [2, 0]
    assert response["results"][0]["document"]["text"] == "red"
    assert response.meta.billed_units["search_units"] == response.usage.search_units == 1
    sent = upstream.received[0]
    assert sent.headers["authorization"] == "Bearer secret-1"
    assert sent.headers["x-team"] == "search"


@pytest.mark.parametrize(
    ("model", "provider"),
    [("jina_ai/x", None), ("x", "jina_ai"), ("jina/x", "jina_ai"), ("together_ai/org/x", None)],
)
def test_providers_by_litellms_names(reranker: Reranker, upstream: Upstream, model: str, provider: str | None) -> None:
    base = f"{upstream.url}/v1"
    response = reranker.rerank(model, "red", DOCUMENTS, custom_llm_provider=provider, api_key="k", api_base=base)
    assert [result.index for result in response.results] == [2, 0, 1]


def test_each_key_is_sent_with_its_own_calls(reranker: Reranker, upstream: Upstream) -> None:
    for key in ("first", "second", "first"):
        reranker.rerank("cohere/x", "red", DOCUMENTS, api_key=key, api_base=upstream.url)
    assert [sent.headers["authorization"] for sent in upstream.received] == [
        "Bearer first",
        "Bearer second",
        "Bearer first",
    ]


def test_accesses_are_bounded(reranker: Reranker, upstream: Upstream) -> None:
    for number in range(MAX_ENGINES + 5):
        reranker.rerank("cohere/x", "red", DOCUMENTS, api_key=f"k{number}", api_base=upstream.url)
    assert reranker._opening is not None
    assert len(reranker._opening.result()._pool) == MAX_ENGINES


def test_what_the_settings_say_of_the_provider_still_holds(upstream: Upstream) -> None:
    options = ProviderSettings(base_url=upstream.url, api_key="of the settings", headers={"X-Org": "o"})
    with Reranker(Settings(providers={"cohere": options})) as reranker:
        reranker.rerank("cohere/x", "red", DOCUMENTS)
        reranker.rerank("cohere/x", "red", DOCUMENTS, api_key="of the call")
    assert [sent.headers["authorization"] for sent in upstream.received] == [
        "Bearer of the settings",
        "Bearer of the call",
    ]
    assert upstream.received[1].headers["x-org"] == "o"


def test_fallback_beside_an_access() -> None:
    with Reranker(Settings()) as reranker:
        response = reranker.rerank(
            "cohere/x",
            "red",
            DOCUMENTS,
            api_key="k",
            api_base="http://127.0.0.1:1",
            fallbacks=["local/bm25"],
        )
    assert response.model == "local/bm25"
    assert "fell back" in response.meta.warnings[0]


def test_key_is_in_no_error(reranker: Reranker) -> None:
    def refuse(request: object) -> ScriptedResponse:
        return ScriptedResponse.of_json({"message": "invalid api token secret-1"}, status=401)

    with Upstream(refuse) as upstream, pytest.raises(RerankError) as failed:
        reranker.rerank("cohere/x", "red", DOCUMENTS, api_key="secret-1", api_base=upstream.url)
    assert failed.value.reason == Reason.PROVIDER_CREDENTIALS_REJECTED
    assert "secret-1" not in repr(failed.value)


def test_tls_of_the_call(reranker: Reranker) -> None:
    with BlockingTlsServer(server_context()) as server:

        def message_with(**options: Any) -> str:
            with pytest.raises(RerankError) as failed:
                reranker.rerank("cohere/x", "red", DOCUMENTS, api_key="k", api_base=server.url, **options)
            return failed.value.message

        assert "the certificate of 127.0.0.1 is not valid" in message_with()
        named = message_with(tls={"server_name": "other.internal"})
        assert "the certificate of other.internal is not valid" in named


def test_models_of_this_process_take_no_access(reranker: Reranker) -> None:
    with pytest.raises(RerankError) as failed:
        reranker.rerank("local/default", "red", DOCUMENTS, api_key="k", api_base="http://host")
    said = "is for remote providers; local models run in this process without it"
    assert failed.value.message == f"api_key {said}; api_base {said}"
