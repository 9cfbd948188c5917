"""`rerankd keys` and `rerankd migrate`, and that a server follows what they change."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, has_our_form, new_secret
from rerankd.console.commands.program import run
from tests.support.server import ServerProcess

DECLARED = new_secret()


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "rerankd.yaml"
    access = {
        "enabled": True,
        "revoked_within_s": 1,
        "keys": {"declared": {"hash": digest_of(DECLARED), "scopes": ["admin"]}},
    }
    file.write_text(yaml.safe_dump({"access": access, "store": {"state_dir": str(tmp_path / "state")}}))
    return str(file)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["keys", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["keys", *arguments]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    return " ".join(captured.err.split())


def test_a_key_is_shown_once_and_its_hash_never(capsys: pytest.CaptureFixture[str], config: str) -> None:
    options = ["--owner", "team", "--group", "g", "--tag", "a", "--model", "cohere/*", "--scope", "rerank"]
    made = told(capsys, "create", "search", *options, "--expires-in", "2", "--config", config)
    secret = made.pop("secret")
    assert has_our_form(secret)
    assert (made["name"], made["owner"], made["group"], made["tags"]) == ("search", "team", "g", ["a"])
    assert (made["models"], made["scopes"], made["source"]) == (["cohere/*"], ["rerank"], "store")
    assert told(capsys, "show", made["id"], "--config", config) == made
    assert [key["id"] for key in told(capsys, "list", "--config", config)] == ["declared", made["id"]]
    for arguments in (["list"], ["show", made["id"]], ["list", "--json"]):
        assert run(["keys", *arguments, "--config", config]) == 0
        shown = capsys.readouterr().out
        assert "search" in shown
        assert secret not in shown
        assert digest_of(secret) not in shown


def test_listing_creates_nothing(capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path) -> None:
    assert [key["id"] for key in told(capsys, "list", "--config", config)] == ["declared"]
    assert "there is no key key_x" in refused(capsys, "show", "key_x", "--config", config)
    assert "there is no key key_x" in refused(capsys, "revoke", "key_x", "--config", config)
    assert not (tmp_path / "state").exists()


def test_rotated_and_revoked_keys_are_said(capsys: pytest.CaptureFixture[str], config: str) -> None:
    made = told(capsys, "create", "search", "--config", config)
    rotated = told(capsys, "rotate", made["id"], "--overlap", "1", "--config", config)
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_expires_at"] is not None
    assert told(capsys, "revoke", made["id"], "--config", config)["revoked_at"] is not None
    assert "is revoked, which is for good" in refused(capsys, "rotate", made["id"], "--config", config)
    assert [key["id"] for key in told(capsys, "list", "--config", config)] == ["declared"]
    assert len(told(capsys, "list", "--revoked", "--config", config)) == 2


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_keys_of_the_settings_are_not_changed(capsys: pytest.CaptureFixture[str], config: str, command: str) -> None:
    assert "is a key of the settings (access.keys.declared)" in refused(capsys, command, "declared", "--config", config)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--scope", "rernk"], "'rernk' is not a scope; did you mean rerank?"),
        (["--expires-in", "0"], "--expires-in must be above 0"),
        (["--model", ""], "models has an empty item"),
        (["--owner", "x" * 201], "owner is longer than 200 characters"),
    ],
)
def test_keys_that_cannot_be_used_are_not_made(
    capsys: pytest.CaptureFixture[str], config: str, options: list[str], problem: str, tmp_path: Path
) -> None:
    assert problem in refused(capsys, "create", "search", *options, "--config", config)
    assert not (tmp_path / "state").exists()


def test_keys_of_another_gateway_are_imported_all_or_none(
    capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path
) -> None:
    strong, hashed = "sk-9fJ2kLx0Qp7vTz4RbN8wYc", digest_of(new_secret())
    file = tmp_path / "keys.jsonl"

    def import_lines(*lines: dict[str, Any]) -> list[str]:
        file.write_text("\n".join(map(json.dumps, lines)) + "\n")
        return ["import", str(file), "--config", config]

    first, second = {"name": "a", "secret": strong}, {"name": "b", "hash": hashed, "models": ["x"]}
    assert "line 2 cannot be used: secret is weak" in refused(
        capsys, *import_lines(first, {"name": "w", "secret": "admin"})
    )
    assert "line 1 cannot be used: secret is needed, or hash" in refused(capsys, *import_lines({"name": "n"}))
    assert "line 1 cannot be read" in refused(capsys, *import_lines({"nme": "n"}))
    assert len(told(capsys, "list", "--config", config)) == 1
    assert [key["name"] for key in told(capsys, *import_lines(first, second))] == ["a", "b"]
    assert "1 keys are known already: a" in refused(capsys, *import_lines(first, {"name": "c", "secret": new_secret()}))
    assert len(told(capsys, "list", "--config", config)) == 3


def test_generating_stores_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "generate")
    assert made["hash"] == digest_of(made["secret"])


def test_migrating_says_the_version(capsys: pytest.CaptureFixture[str], config: str) -> None:
    assert run(["migrate", "--config", config]) == 0
    assert "was empty" in capsys.readouterr().out
    assert run(["migrate", "--config", config]) == 0
    assert "was" not in capsys.readouterr().out


@pytest.mark.slow
def test_workers_follow_what_the_commands_change(
    capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path
) -> None:
    """Keys made work at once, and revoked ones stop within the bound, in every one of two workers."""
    server = ServerProcess("--config", config, "--workers", "2")

    def statuses(secret: str) -> set[int]:
        """Call over new connections, which both workers get some of."""
        body = {"model": "local/bm25", "query": "a", "documents": ["b"]}
        headers = {"authorization": f"Bearer {secret}"}
        url = f"{server.http_url}/v1/rerank"
        answers = [httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60) for _ in range(12)]
        return {answer.status_code for answer in answers}

    def come_to(secret: str, wanted: set[int]) -> None:
        """Wait, far beyond the bound, which is held to in virtual time."""
        give_up_s = time.monotonic() + 60
        while statuses(secret) != wanted:
            assert time.monotonic() < give_up_s

    assert not (tmp_path / "state").exists()
    # Workers import the database library and open the store for the first key, which may take a busy machine too long.
    come_to(told(capsys, "create", "first", "--config", config)["secret"], {200})
    made = told(capsys, "create", "search", "--config", config)
    assert statuses(made["secret"]) == {200}
    rotated = told(capsys, "rotate", made["id"], "--overlap", "0", "--config", config)
    assert statuses(rotated["secret"]) == {200}
    told(capsys, "revoke", made["id"], "--config", config)
    come_to(rotated["secret"], {401})
    assert statuses(made["secret"]) == {401}
    assert server.stop() == 0
    assert rotated["secret"] not in json.dumps(server.log)
