"""`rerankd spend`: what the store holds, and what two workers of a server wrote there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.spend.spend_table import SpendTable
from rerankd.access.spend.sums import SpendAmounts, SpendKey
from rerankd.console.commands.program import run
from rerankd.store.database import Database
from rerankd.store.migrating import migrate
from rerankd.store.settings import StoreSettings
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

DAYS = ["--from", "2026-11-01", "--to", "2026-11-30"]


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(state_dir=str(tmp_path / "state"))


@pytest.fixture
def config(tmp_path: Path, store: StoreSettings) -> str:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"store": {"state_dir": store.state_dir}}))
    return str(file)


@pytest.fixture
def filled(store: StoreSettings, config: str) -> str:
    async def fill() -> None:
        database = Database(store)
        await migrate(database)
        rows = {
            SpendKey(day, key, "g", True, user, model): SpendAmounts(1, 2, 30, 4, cost, unpriced)
            for day, key, user, model, cost, unpriced in (
                ("2026-11-28", "key_a", "u", "cohere/rerank-v3.5", 0.5, 0),
                ("2026-11-28", "key_b", "=1+1", "cohere/rerank-v3.5", 1.5, 0),
                ("2026-11-29", "key_a", "", "vllm/model", 0.0, 1),
                ("2026-10-29", "key_a", "u", "vllm/model", 9.0, 0),
            )
        }
        await SpendTable(database).add("w", 1, rows)
        await database.close()

    asyncio.run(fill())
    return config


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["spend", *arguments]) == 0
    return capsys.readouterr().out


def test_keys_come_with_the_dearest_first(capsys: pytest.CaptureFixture[str], filled: str) -> None:
    shown = told(capsys, "--config", filled, *DAYS).splitlines()
    assert shown[0].split() == ["key_id", "calls", "documents", "tokens", "search", "units", "US", "dollars"]
    assert [line.split() for line in shown[2:]] == [
        ["key_b", "1", "2", "30", "4", "1.500000"],
        ["key_a", "2", "4", "60", "8", "0.500000", "+"],
        ["+", "and", "calls", "to", "models", "whose", "price", "is", "not", "known"],
    ]


def test_what_is_asked_for_is_summed(capsys: pytest.CaptureFixture[str], filled: str) -> None:
    found = json.loads(told(capsys, "--config", filled, *DAYS, "--by", "day,model", "--key", "key_a", "--json"))
    amounts = {"calls": 1, "documents": 2, "tokens": 30, "search_units": 4}
    assert found == [
        {"day": "2026-11-28", "model": "cohere/rerank-v3.5", **amounts, "cost_usd": 0.5, "unpriced_calls": 0},
        {"day": "2026-11-29", "model": "vllm/model", **amounts, "cost_usd": 0.0, "unpriced_calls": 1},
    ]
    csv = told(capsys, "--config", filled, *DAYS, "--by", "user", "--csv")
    assert csv.splitlines()[1:] == ["'=1+1,1,2,30,4,1.5,0", "u,1,2,30,4,0.5,0", ",1,2,30,4,0.0,1"]
    every = json.loads(told(capsys, "--config", filled, *DAYS, "--by", "", "--json"))
    assert [row["calls"] for row in every] == [3]


def test_a_store_that_is_not_there_is_empty_and_stays_so(
    capsys: pytest.CaptureFixture[str], config: str, store: StoreSettings
) -> None:
    assert json.loads(told(capsys, "--config", config, "--json")) == []
    assert not store.sqlite_path().exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--by", "week"], "'week' is nothing to group by; known are day, key, group, user and model"),
        (["--from", "soon"], "'soon' is no day; write it as 2026-11-29"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "the last day, 2026-11-01, is before the first, 2026-11-02"),
    ],
)
def test_what_cannot_be_read_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str) -> None:
    assert run(["spend", *arguments]) == 2
    assert problem in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_workers_write_what_keys_spend(capsys: pytest.CaptureFixture[str], config: str) -> None:
    """Both workers write on their way out; a key is known by its id, and is nowhere in the store."""
    secrets = {name: new_secret() for name in ("search", "ads")}
    settings = yaml.safe_load(Path(config).read_text())
    with Upstream(answer_well) as upstream:
        keys = {name: {"hash": digest_of(secret), "group": f"team-{name}"} for name, secret in secrets.items()}
        settings["access"] = {"enabled": True, "keys": keys}
        settings["providers"] = {"cohere": {"base_url": upstream.url, "api_key": "upstream-key-0123456789"}}
        Path(config).write_text(yaml.safe_dump(settings))
        server = ServerProcess("--config", config, "--workers", "2")
        for number in range(12):
            name = "search" if number % 3 else "ads"
            answer = httpx.post(
                f"{server.http_url}/v1/rerank",
                json={"model": "cohere/rerank-v3.5", "query": f"q{number}", "documents": ["a"], "user": "u"},
                headers={"authorization": f"Bearer {secrets[name]}"},
                trust_env=False,
            )
            assert answer.status_code == 200
        strangers = httpx.post(f"{server.http_url}/v1/rerank", json={"query": "q", "documents": ["a"]}, trust_env=False)
        assert strangers.status_code == 401
        assert server.stop() == 0
    found = json.loads(told(capsys, "--config", config, "--by", "key,group,user,model", "--json"))
    assert [(row["key_id"], row["group"], row["user"], row["calls"], row["search_units"]) for row in found] == [
        ("search", "team-search", "u", 8, 8),
        ("ads", "team-ads", "u", 4, 4),
    ]
    assert round(sum(row["cost_usd"] for row in found), 9) == 0.024
    stored = Path(settings["store"]["state_dir"]).joinpath("rerankd.db").read_bytes()
    assert not any(each.encode() in stored for secret in secrets.values() for each in (secret, digest_of(secret)))
