"""What it costs a call that its caller sends an API key: at most a tenth of the call's own work."""

from __future__ import annotations

import json

import pytest

from rerankd.access.key_format import digest_of, new_secret
from tests.costs.counting import CountedServer
from tests.costs.scenarios import BM25, DOCUMENTS, Scenario, by_grpc
from tests.costs.work import least

pytestmark = pytest.mark.slow

SECRET = new_secret()
ACCESS = {
    "enabled": True,
    "keys": {"caller": {"hash": digest_of(SECRET), "models": ["cohere/*", BM25], "group": "g", "owner": "o"}},
}
WITH_KEY = Scenario("grpc_bm25_key", "with a key", by_grpc(BM25, DOCUMENTS, ("authorization", f"Bearer {SECRET}")))


def test_a_key_takes_at_most_a_tenth_more_work() -> None:
    """The same call, with the same metadata, to a server that does not look at the key and to one that does."""
    with CountedServer("work", {}) as server:
        without = least(server, WITH_KEY, rounds=40)
    with CountedServer("work", {"RERANKD_ACCESS": json.dumps(ACCESS)}) as server:
        guarded = least(server, WITH_KEY, rounds=40)
    for name, count in guarded.items():
        assert count <= 1.1 * without[name], (name, count, without[name])
    assert guarded["calls"] > without["calls"], "the key was not looked at"
