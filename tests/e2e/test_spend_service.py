"""Spend of a live server, over both transports, as JSON and as CSV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from rerank.v1 import access_service_pb2 as pb
from rerank.v1 import access_service_pb2_grpc as pb_grpc
from rerankd.access.key_format import digest_of, new_secret
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

ADMIN, SEARCH, ADS = (new_secret() for _ in range(3))
AMOUNTS = {"documents": 2, "tokens": 0, "search_units": 2, "unpriced_calls": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that has answered three calls, whose spend is in the store."""
    folder = tmp_path_factory.mktemp("spend")
    keys: dict[str, Any] = {"admin": {"hash": digest_of(ADMIN), "scopes": ["admin"]}}
    keys |= {"search": {"hash": digest_of(SEARCH), "group": "g"}, "ads": {"hash": digest_of(ADS)}}
    with Upstream(answer_well) as upstream:
        settings = {
            "access": {"enabled": True, "keys": keys, "spend": {"write_every_s": 0.1}},
            "providers": {"cohere": {"base_url": upstream.url, "api_key": "upstream-key-0123456789"}},
            "store": {"state_dir": str(folder / "state")},
        }
        file = folder / "rerankd.yaml"
        file.write_text(yaml.safe_dump(settings))
        process = ServerProcess("--config", str(file))
        assert ask(process)["spend"] == []
        assert not Path(folder / "state").exists()
        for secret, user in ((SEARCH, "u1"), (SEARCH, "u1"), (ADS, "=u2")):
            body = {"model": "cohere/rerank-v3.5", "query": "q", "documents": ["a"], "user": user, "cache": "bypass"}
            answer = httpx.post(f"{process.http_url}/v1/rerank", json=body, headers=bearer(secret), trust_env=False)
            assert answer.status_code == 200
        give_up_s = time.monotonic() + 30
        while sum(each["calls"] for each in ask(process)["spend"]) < 3:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
        yield process
        assert process.stop() == 0


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def get(server: ServerProcess, query: str = "", **headers: str) -> httpx.Response:
    return httpx.get(f"{server.http_url}/v1/spend{query}", headers={**bearer(ADMIN), **headers}, trust_env=False)


def ask(server: ServerProcess, query: str = "") -> Any:
    answer = get(server, query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask_by_grpc(server: ServerProcess, request: pb.ListSpendRequest) -> pb.ListSpendResponse:
    with grpc.insecure_channel(server.grpc_address) as channel:
        return pb_grpc.AccessServiceStub(channel).ListSpend(request, metadata=tuple(bearer(ADMIN).items()))


def test_spend_by_key_and_user(server: ServerProcess) -> None:
    found = ask(server, "?by=key&by=user&by=group")
    names = [(each["key_id"], each["user"], each["group"], each["calls"]) for each in found["spend"]]
    assert names == [("ads", "=u2", "", 1), ("search", "u1", "g", 2)]
    assert found["spend"][1] == {
        **AMOUNTS,
        "day": "",
        "key_id": "search",
        "group": "g",
        "user": "u1",
        "model": "",
        "calls": 2,
        "cost_usd": 0.004,
    }
    assert found["next_page_token"] == ""


def test_both_transports_say_the_same(server: ServerProcess) -> None:
    request = pb.ListSpendRequest(by=[pb.SPEND_DIMENSION_DAY, pb.SPEND_DIMENSION_MODEL], key_id="search")
    (row,) = ask_by_grpc(server, request).spend
    (same,) = ask(server, "?by=day&by=model&key_id=search")["spend"]
    assert {name: getattr(row, name) for name in same} == same
    assert (row.model, row.calls, row.key_id) == ("cohere/rerank-v3.5", 2, "")


def test_pages_end_where_the_next_begin(server: ServerProcess) -> None:
    first = ask(server, "?by=key&page_size=1")
    second = ask(server, f"?by=key&page_size=1&page_token={first['next_page_token']}")
    assert [page["spend"][0]["key_id"] for page in (first, second)] == ["ads", "search"]
    assert second["next_page_token"] == ""
    request = pb.ListSpendRequest(by=[pb.SPEND_DIMENSION_KEY], page_size=1, page_token=first["next_page_token"])
    assert ask_by_grpc(server, request).spend[0].key_id == "search"


def test_csv_for_those_who_accept_it(server: ServerProcess) -> None:
    answer = get(server, "?by=user&page_size=1", accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.text.splitlines() == [
        "user,calls,documents,tokens,search_units,cost_usd,unpriced_calls",
        "'=u2,1,1,0,1,0.002,0",
    ]
    token = answer.headers["x-next-page-token"]
    rest = get(server, f"?by=user&page_size=1&page_token={token}", accept="text/csv, */*")
    assert rest.text.splitlines()[1:] == ["u1,2,2,0,2,0.004,0"]
    assert "x-next-page-token" not in rest.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?first_day=soon", "first_day"),
        ("?first_day=2026-02-02&last_day=2026-02-01", "first_day"),
        ("?page_size=0", "page_size"),
        ("?page_size=10001", "page_size"),
        ("?by=unspecified", "by"),
        ("?by=week", "by"),
        ("?by=key&page_token=bm90IGpzb24=", "page_token"),
        ("?by=key&page_token=WyJhIiwgImIiXQ==", "page_token"),
        ("?by=key&page_token=%C3%BC", "page_token"),
    ],
)
def test_what_cannot_be_answered_names_its_field(server: ServerProcess, query: str, field: str) -> None:
    refused = get(server, query, accept="text/csv")
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_REQUEST")
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["fields"][0]["field"].startswith(field)


def test_others_see_no_spend(server: ServerProcess) -> None:
    answer = httpx.get(f"{server.http_url}/v1/spend", headers=bearer(SEARCH), trust_env=False)
    assert (answer.status_code, answer.json()["reason"]) == (403, "INSUFFICIENT_SCOPE")
