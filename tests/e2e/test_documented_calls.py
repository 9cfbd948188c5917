"""The calls by `curl` in the documentation, sent to a server as they stand there, in the order of each page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.server import ServerProcess

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {page.name: page for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]}
CALL: Final = re.compile(r"^(?:\$ )?(curl (?:[^'\n\\]|\\\n|'[^']*')*)", re.MULTILINE)
NOT_ANSWERED: Final = {
    "experiments.md": "needs logged runs",
    "operations.md": "is sent to Envoy",
    "runs.md": "needs the reranker of another page",
    "spend.md": "needs API keys",
}
"""Pages whose calls a server without a state does not answer, and why."""


def calls_of(page: Path) -> list[list[str]]:
    return [shlex.split(call.replace("\\\n", "")) for call in CALL.findall(page.read_text(encoding="utf-8"))]


WITH_CALLS: Final = sorted(name for name, page in PAGES.items() if calls_of(page))


def test_the_pages_have_calls() -> None:
    assert {"README.md", "rerankers.md", "embedded.md"} <= {*WITH_CALLS}
    assert NOT_ANSWERED.keys() <= PAGES.keys()


@pytest.mark.parametrize("name", sorted({*WITH_CALLS} - NOT_ANSWERED.keys()))
def test_documented_calls_are_answered(name: str, tmp_path: Path) -> None:
    server = ServerProcess(environment={"RERANKD_STORE__STATE_DIR": str(tmp_path)})
    for call in calls_of(PAGES[name]):
        answer = send(call, server.http_url)
        assert answer.status_code in (200, 201), f"{shlex.join(call)}: {answer.text}"
    assert server.stop() == 0


def send(call: list[str], url: str) -> httpx.Response:
    """Send a call as curl does: a form, unless a header names another type."""
    headers, body, target = {}, None, ""
    words = iter(call[1:])
    for word in words:
        if word == "-H":
            header, _, value = next(words).partition(":")
            headers[header.lower()] = value.strip()
        elif word == "-d":
            body = next(words)
        elif not word.startswith("-"):
            target = word
    if body is not None:
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
    path = target.removeprefix("http://").removeprefix("localhost:8080")
    method = "GET" if body is None else "POST"
    return httpx.request(method, url + path, headers=headers, content=body, trust_env=False, timeout=60)
