"""Every chat API, over every transport: what is recorded of it, what can go wrong, and any bytes at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd_adapters.base import AdapterError, Endpoint, HttpResponse, Provider
from rerankd_adapters.chat.adapter import ChatAdapter, ChatCall, ChatReply
from rerankd_adapters.registry import find_provider, open_chat_adapter, provider_names
from rerankd_adapters.testing import Behaviour
from rerankd_adapters.testing.chat import AsRanking, ChatCase, check_chat_case
from tests.conformance.chat_suite import CHAT_BEHAVIOURS, CHAT_RECORDINGS, FORMS
from tests.conformance.suite import WIRE_ONLY, Deployments
from tests.conformance.test_fuzz import EXAMPLES, HEADERS, JSON, STATUSES, encode, places_in, replaced

CASES = [(name, case) for name, recording in CHAT_RECORDINGS.items() for case in recording.all_cases()]
MISBEHAVIOURS = [(name, each) for name in FORMS for each in CHAT_BEHAVIOURS if each.name not in WIRE_ONLY]


def declared(name: str) -> Provider:
    provider = find_provider(name)
    assert provider is not None
    return provider


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case.name}" for name, case in CASES])
async def test_recorded(name: str, case: ChatCase, deployments: Deployments) -> None:
    await check_chat_case(case, declared(name), deployments.open)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "behaviour"), MISBEHAVIOURS, ids=[f"{n}-{each.name}" for n, each in MISBEHAVIOURS])
async def test_behaviour(name: str, behaviour: Behaviour, deployments: Deployments) -> None:
    def open_provider(provider: Provider, endpoint: Endpoint, options: Mapping[str, Any]) -> AsRanking:
        return AsRanking(deployments.open(provider, endpoint, options))

    await behaviour.check(CHAT_RECORDINGS[name].as_ranking(), declared(name), open_provider)


def test_every_chat_api_is_recorded_and_every_adapter_misused() -> None:
    providers = {name: declared(name) for name in provider_names()}
    chats = {name: provider.chat for name, provider in providers.items() if provider.chat is not None}
    assert chats.keys() == CHAT_RECORDINGS.keys()
    assert {chats[name].adapter for name in FORMS} == {chat.adapter for chat in chats.values()}
    assert len(CHAT_BEHAVIOURS) > 25


@pytest.mark.parametrize("name", FORMS)
def test_any_bytes(name: str) -> None:
    @EXAMPLES
    @given(status=STATUSES, headers=HEADERS, body=st.binary(max_size=200) | JSON.map(encode))
    def check(status: int, headers: dict[str, str], body: bytes) -> None:
        for case in CHAT_RECORDINGS[name].cases:
            check_parse(name, case.call, HttpResponse(status=status, headers=headers, body=body))

    check()


ANSWERS = [(name, case) for name in FORMS for case in CHAT_RECORDINGS[name].cases]


@pytest.mark.parametrize(("name", "case"), ANSWERS, ids=[f"{name}: {case.name}" for name, case in ANSWERS])
def test_almost_right_bodies(name: str, case: ChatCase) -> None:
    """The recorded answer with one value, anywhere in it, replaced by another."""
    good = json.loads(case.steps[-1].response.body)

    @EXAMPLES
    @given(place=st.sampled_from(list(places_in(good))), value=JSON, status=STATUSES)
    def check(place: tuple[Any, ...], value: Any, status: int) -> None:
        check_parse(name, case.call, HttpResponse(status=status, body=encode(replaced(good, place, value))))

    check()


def check_parse(name: str, call: ChatCall, response: HttpResponse) -> None:
    adapter: ChatAdapter = open_chat_adapter(declared(name), {"region": "us-east-1"} if name == "bedrock" else {})
    outcome = outcome_of(adapter, call, response)
    if isinstance(outcome, AdapterError):
        assert outcome.message.isprintable()
        assert len(outcome.message) <= 400
        return
    assert type(outcome) is ChatReply
    assert type(outcome.text) is str
    assert len(outcome.first_token) <= 100
    assert all(type(count) is int and count >= 0 for count in (outcome.prompt_tokens, outcome.completion_tokens))
    if (probabilities := outcome.label_probabilities) is not None:
        assert len(probabilities) == len(call.labels)
        assert all(0 <= each <= 1 for each in probabilities)
        assert any(probabilities)


def outcome_of(adapter: ChatAdapter, call: ChatCall, response: HttpResponse) -> ChatReply | AdapterError:
    try:
        return adapter.parse(call, response)
    except AdapterError as error:
        return error
