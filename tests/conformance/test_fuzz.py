"""Whatever bytes arrive, `parse` returns a reply or raises an `AdapterError`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd_adapters.base import AdapterError, HttpAdapter, HttpResponse, ProviderReply
from rerankd_adapters.registry import find_provider, open_adapter
from rerankd_adapters.testing import Recording
from tests.conformance.suite import RECORDINGS

EXAMPLES = settings(max_examples=40)
"""For each provider: most adapters read replies by the same code, so that all of them together are what searches it."""
STATUSES = st.sampled_from([200, 200, 200, 202, 204, 301, 400, 401, 404, 418, 422, 424, 429, 500, 503, 599])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "date", "content-type", "x-compute-tokens", "nvcf-reqid"]),
    st.text(max_size=30) | st.just("Wed, 21 Oct 2026 07:28:00 GMT"),
)


@pytest.mark.parametrize("name", RECORDINGS)
def test_any_bytes(name: str) -> None:
    adapter, recording = _adapter(name), RECORDINGS[name]

    @EXAMPLES
    @given(status=STATUSES, headers=HEADERS, body=st.binary(max_size=200) | JSON.map(encode))
    def check(status: int, headers: dict[str, str], body: bytes) -> None:
        _check(adapter, recording, HttpResponse(status=status, headers=headers, body=body))

    check()


@pytest.mark.parametrize("name", RECORDINGS)
def test_almost_right_bodies(name: str) -> None:
    """The recorded answer with one value, anywhere in it, replaced by another."""
    adapter, recording = _adapter(name), RECORDINGS[name]
    good = json.loads(recording.cases[0].steps[0].response.body)
    places = list(places_in(good))

    @EXAMPLES
    @given(place=st.sampled_from(places), value=JSON, status=STATUSES)
    def check(place: tuple[Any, ...], value: Any, status: int) -> None:
        body = encode(replaced(good, place, value))
        _check(adapter, recording, HttpResponse(status=status, body=body))

    check()


def _adapter(name: str) -> HttpAdapter:
    provider = find_provider(name)
    assert provider is not None
    return open_adapter(provider)


def _check(adapter: HttpAdapter, recording: Recording, response: HttpResponse) -> None:
    outcome = _parse(adapter, recording, response)
    if isinstance(outcome, AdapterError):
        assert outcome.message.isprintable()
        assert len(outcome.message) <= 400
        return
    assert len(outcome.indices) == len(outcome.scores)
    assert all(type(index) is int for index in outcome.indices)
    assert all(type(score) is float for score in outcome.scores)
    assert all(type(count) is int and count >= 0 for count in (outcome.prompt_tokens, outcome.search_units))


def _parse(adapter: HttpAdapter, recording: Recording, response: HttpResponse) -> ProviderReply | AdapterError:
    try:
        return adapter.parse(recording.cases[0].call, response)
    except AdapterError as error:
        return error


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def places_in(value: Any, at: tuple[Any, ...] = ()) -> Any:
    yield at
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(inner, (*at, key))


def replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    if not place:
        return by
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = replaced(value[place[0]], place[1:], by)
    return changed
