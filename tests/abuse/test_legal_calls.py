"""Calls within every limit that cost much: they get what they ask for, and others their turn."""

from __future__ import annotations

import json
import time

import pytest

from tests.abuse.drill import LEGAL_P99_MS, drill
from tests.abuse.raw import Outcome, post
from tests.support.server import ServerProcess

BEFORE = "10.5 CPU s on the loop, prober p99 18.7 s"


def _objects(value: str) -> bytes:
    documents = [
        {f"field {number}": value.format(number, index) if number % 3 else number * index for number in range(100)}
        for index in range(10_000)
    ]
    return json.dumps({"model": "local/bm25", "query": "value", "documents": documents, "top_n": 3}).encode()


@pytest.mark.parametrize("value", ["value {} of {}", "value: {} #{}", "\u2028{}{}"], ids=["plain", "quoted", "broken"])
def test_ten_thousand_objects_of_a_hundred_fields(attacked: ServerProcess, value: str) -> None:
    body = _objects(value)

    def attack() -> Outcome:
        began_s = time.monotonic()
        outcome = post(attacked.http_url, body)
        assert time.monotonic() - began_s < 20
        return outcome

    seen = drill(f"10,000 objects of 100 fields, {value!r}", attacked, attack, before=BEFORE, most_p99_ms=LEGAL_P99_MS)
    seen.check()
    assert seen.result.status == 200
    assert len(json.loads(seen.result.body)["results"]) == 3


@pytest.mark.parametrize("key", ["key {}", "\u2028{}"], ids=["plain", "broken"])
def test_documents_of_many_values(attacked: ServerProcess, key: str) -> None:
    fields = {key.format(number): f"v: {number}" for number in range(19_000)}
    body = json.dumps({"model": "local/bm25", "query": "q", "documents": [fields] * 50, "top_n": 3}).encode()
    seen = drill(f"50 documents of 19,000 keys, {key!r}", attacked, lambda: post(attacked.http_url, body))
    seen.check()
    assert seen.result.status == 200


@pytest.mark.parametrize(
    ("values", "problem"),
    [(['"w"'] * 90_000, "more than 20000 values"), (['"' + "w" * 30_000_000 + '"'], "characters of keys and texts")],
    ids=["values", "characters"],
)
def test_documents_of_too_many_values(attacked: ServerProcess, values: list[str], problem: str) -> None:
    document = '{"values":[' + ",".join(values) + "]}"
    body = ('{"model":"local/bm25","query":"q","documents":[' + ",".join([document] * 2) + "]}").encode()
    seen = drill(f"2 documents with {problem}", attacked, lambda: post(attacked.http_url, body))
    seen.check()
    assert (seen.result.status, problem in seen.result.message()) == (400, True)
