"""Building URLs and bodies, and reading what cannot be trusted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, HttpResponse, ProviderCall
from rerankd_adapters.registry import find_provider, open_adapter
from rerankd_adapters.usage_fields import read_completion_tokens, read_prompt_tokens, read_search_units
from rerankd_adapters.wire import (
    join_url,
    path_segments,
    post_json,
    read_count,
    read_json,
    read_ranking,
    read_scores,
    read_usd,
    whole_numbers,
)


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://h", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1", "/v1/rerank", "https://h/v1/rerank"),
        ("https://h/v1/", "/v2/rerank", "https://h/v2/rerank"),
        ("https://h/v1/rerank", "/v2/rerank", "https://h/v1/rerank"),
        ("https://h/a/b", "/b/c", "https://h/a/b/c"),
        ("https://h/a", "/b", "https://h/a/b"),
        ("https://h/a?x=1", "/b", "https://h/a/b?x=1"),
        ("https://h/a?x=1", "/b?y=2", "https://h/a/b?x=1&y=2"),
        ("https://h/a", "", "https://h/a"),
        ("http://[::1]:8080/v1", "/v1/rerank", "http://[::1]:8080/v1/rerank"),
    ],
)
def test_join_url(base: str, path: str, url: str) -> None:
    assert join_url(base, path) == url


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://h/tenants/mine", "/_inference/rerank/mine", "http://h/tenants/mine/_inference/rerank/mine"),
        ("http://h/_inference/rerank/mine", "/_inference/rerank/mine", "http://h/_inference/rerank/mine"),
        ("http://h/a/_inference/rerank", "/_inference/rerank/b", "http://h/a/_inference/rerank/b"),
        ("http://h/x/8B", "/v1/inference/Qwen/8B", "http://h/x/8B/v1/inference/Qwen/8B"),
        ("http://h/invoke", "/model/m/invoke", "http://h/invoke/model/m/invoke"),
        ("http://h/v2", "/v1/inference/m", "http://h/v1/inference/m"),
    ],
)
def test_join_url_with_a_path_that_names_a_model(base: str, path: str, url: str) -> None:
    assert join_url(base, path, names_model=True) == url


SEGMENTS = st.lists(st.sampled_from(["a", "b", "rerank", "v1", "v2", "_inference"]), max_size=4).map("/".join)


@given(base=SEGMENTS, path=SEGMENTS)
@example(base="v1/v1/v1", path="v1")
def test_a_path_that_names_a_model_is_never_cut(base: str, path: str) -> None:
    url = join_url(f"http://h/{base}", f"/{path}", names_model=True)
    assert f"{url}/".endswith(f"/{path}/" if path else "/")
    assert join_url(url, f"/{path}", names_model=True) == url


@given(base=SEGMENTS, path=SEGMENTS)
def test_a_route_is_said_once(base: str, path: str) -> None:
    url = join_url(f"http://h/{base}", f"/{path}")
    assert join_url(url, f"/{path}") == url


@pytest.mark.parametrize("name", ["elasticsearch", "deepinfra"])
@given(base=SEGMENTS, model=SEGMENTS.filter(bool))
def test_every_model_has_a_url_of_its_own(name: str, base: str, model: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    call = ProviderCall(model=model, query="q", documents=["a"])
    request = open_adapter(provider).build(call, Endpoint(base_url=f"http://h/{base}"))
    assert request.url.endswith(f"{open_adapter(provider).wire.path}/{model}")  # type: ignore[attr-defined]  # of this kind of provider


def test_model_in_a_path() -> None:
    assert path_segments("Qwen/Qwen3:0.6B@x") == "Qwen/Qwen3:0.6B@x"
    assert path_segments("a?b#c d%2e") == "a%3Fb%23c%20d%252e"


@pytest.mark.parametrize("model", ["", "..", "a/../b", "/a", "a/", "a//b", "."])
def test_model_that_leaves_its_path(model: str) -> None:
    with pytest.raises(AdapterError) as refused:
        path_segments(model)
    assert refused.value.kind is AdapterErrorKind.MODEL_NOT_FOUND


def test_lone_surrogate_cannot_be_sent() -> None:
    with pytest.raises(AdapterError) as refused:
        post_json(Endpoint(base_url="http://h"), "/x", {"query": "\ud800"})
    assert refused.value.kind is AdapterErrorKind.REJECTED


def test_ranking() -> None:
    items = [{"i": 1, "s": 0.5, "document": {}}, {"i": 0, "s": 1}]
    assert read_ranking(items, "i", "s") == ([1, 0], [0.5, 1.0])


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        "text",
        [None],
        [[]],
        ["text"],
        [{"i": 0}],
        [{"i": "0", "s": 1.0}],
        [{"i": True, "s": 1.0}],
        [{"i": 0.0, "s": 1.0}],
        [{"i": 0, "s": None}],
        [{"i": 0, "s": True}],
        [{"i": 0, "s": 10**400}],
    ],
)
def test_broken_ranking(items: Any) -> None:
    with pytest.raises(AdapterError) as refused:
        read_ranking(items, "i", "s")
    assert refused.value.kind is AdapterErrorKind.BAD_RESPONSE


@pytest.mark.parametrize("value", [None, -1, True, "7", 1.5, 2**60, [], float("nan"), float("inf")])
def test_strange_usage_counts_nothing(value: Any) -> None:
    assert read_count({"usage": {"n": value}}, [("usage", "n")]) == 0


def test_usage() -> None:
    assert read_count({"a": None, "b": {"c": 5.0}}, [("a", "x"), ("b", "c")]) == 5
    assert read_usd({"cost": 0.25}, ("cost",)) == 0.25
    assert read_usd({"cost": -1}, ("cost",)) is None
    assert read_usd({"cost": 1}, None) is None


@pytest.mark.parametrize(
    ("usage", "tokens", "completion", "units"),
    [
        ({"usage": {"prompt_tokens": 5}}, 5, 0, 0),
        ({"usage": {"prompt_tokens": 0, "total_tokens": 0}, "meta": {"tokens": {"input_tokens": 7}}}, 7, 0, 0),
        ({"meta": {"billed_units": {"input_tokens": 7, "output_tokens": 2, "search_units": 1}}}, 7, 2, 1),
        ({"meta": {"billed_units": {"total_tokens": 9}}}, 9, 0, 0),
        ({"meta": {"tokens": {"input_tokens": 3, "output_tokens": 1}}}, 3, 1, 0),
        ({"usage": {"input_tokens": 4, "output_tokens": 1}}, 4, 1, 0),
        ({"usage": None, "meta": {"billed_units": [1], "tokens": "3"}}, 0, 0, 0),
        ([], 0, 0, 0),
    ],
)
def test_usage_at_the_usual_places(usage: object, tokens: int, completion: int, units: int) -> None:
    assert read_prompt_tokens(usage, ()) == tokens
    assert read_completion_tokens(usage, ()) == completion
    assert read_search_units(usage, ()) == units


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"results": [{"index": 0, "relevance_score": NaN}]}', "results[0].relevance_score is NaN"),
        (b'{"results": [{"s": 1}, {"s": 1e999}]}', "results[1].s is Infinity"),
        (b"[0.5, -Infinity]", "[1] is -Infinity"),
        (b"[" + b"9" * 400 + b".5]", "[0] is Infinity"),
        (b'{"a b": NaN}', "* is NaN"),
        (b"NaN", "the body is NaN"),
    ],
)
def test_number_that_is_not_finite_is_named(body: bytes, named: str) -> None:
    with pytest.raises(AdapterError, match=re.escape(f"{named}, which is not a finite number")):
        read_json(HttpResponse(status=200, body=body))


@pytest.mark.parametrize(
    "body", [b"<p>NaN</p>", b'{"a": "NaN"', b"[" * 90_000 + b"NaN", b"[" + b"1," * 2**20 + b"NaN]", b""]
)
def test_body_that_is_not_json(body: bytes) -> None:
    with pytest.raises(AdapterError, match="the body is not JSON"):
        read_json(HttpResponse(status=200, body=body))


def test_score_that_is_not_a_number_is_named() -> None:
    with pytest.raises(AdapterError, match="result 1 is null"):
        read_scores([0.5, None])


def test_whole_numbers() -> None:
    assert whole_numbers({"a": 3.0, "b": [1.5, {"c": 2.0}]}) == {"a": 3, "b": [1.5, {"c": 2}]}
    assert type(whole_numbers(3.0)) is int
