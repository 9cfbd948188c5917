"""`rerankd rerank` against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer
    from tests.unit.console.conftest import Run


async def test_table(run: Run, server: FakeServer) -> None:
    outcome = await run("rerank", "dune", "a desert", "frank wrote dune", "-a", server.address)

    assert outcome.exit_code == 0
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["#", "score", "index", "document"]
    assert lines[2].split() == ["1", "1.0000", "████████████████", "1", "frank", "wrote", "dune"]
    assert lines[3].split() == ["2", "0.0000", "0", "a", "desert"]
    assert "model local/default | provider local | 3.2 ms in the server" in outcome.out
    assert "2 documents | 42 tokens | id req-7" in outcome.out
    assert outcome.err == "warning: document 0 was cut\n"
    assert "\x1b" not in outcome.out


async def test_options_are_sent(run: Run, server: FakeServer) -> None:
    await run("rerank", "q", "d", "-m", "local/bm25", "-n", "1", "--api-key", "k", "-a", server.address)

    request = server.journal.requests[0]
    assert (request.model, request.top_n, request.HasField("include_details")) == ("local/bm25", 1, False)
    assert server.journal.headers["authorization"] == "Bearer k"


async def test_json_prints_zeros_and_proto_names(run: Run, server: FakeServer) -> None:
    outcome = await run("rerank", "q", "d", "--json", "-a", server.address)

    answer = json.loads(outcome.out)
    assert answer["results"] == [{"index": 0, "relevance_score": 0.0}]
    assert answer["extra_fields"]["provider"] == "local"
    assert outcome.err == ""


async def test_details(run: Run, server: FakeServer) -> None:
    outcome = await run("rerank", "q", "d", "--details", "-a", server.address)

    assert "cross-encoder" in outcome.out
    assert "budget" in outcome.out
    assert "attempts" in outcome.out
    assert "0.25" in outcome.out
    assert "failed: it is down" in outcome.out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "one\n\n two \n"),
        ("a.json", '["one", {"text": "two"}]'),
        ("a.jsonl", '"one"\n{"text": "two"}\n'),
        ("a", '{"text": "one"}\n{"text": "two"}\n'),
        ("a", '[\n"one", "two"\n]'),
        ("a.txt", "\ufeffone\r\ntwo"),
    ],
)
async def test_documents_of_a_file(run: Run, server: FakeServer, tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")

    outcome = await run("rerank", "q", "--file", str(file), "-a", server.address)

    assert outcome.exit_code == 0
    assert [document.text for document in server.journal.requests[0].documents] == ["one", "two"]


async def test_a_whole_request_of_a_file(run: Run, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    request = {"query": "q", "documents": ["a", "b"], "top_n": 2, "truncation": "end", "model": "local/bm25"}
    file.write_text(json.dumps(request))

    outcome = await run("rerank", "-f", str(file), "-n", "1", "-a", server.address)

    assert outcome.exit_code == 0
    sent = server.journal.requests[0]
    assert (sent.query, sent.top_n, sent.model, sent.truncation) == ("q", 1, "local/bm25", 2)


async def test_documents_of_standard_input(run: Run, server: FakeServer) -> None:
    await run("rerank", "q", "-a", server.address, stdin="one\ntwo\n")
    await run("rerank", "q", "zero", "-f", "-", "-a", server.address, stdin="one")
    await run("rerank", "q", "zero", "-a", server.address, stdin="not read")

    texts = [[document.text for document in request.documents] for request in server.journal.requests]
    assert texts == [["one", "two"], ["zero", "one"], ["zero"]]


async def test_structured_documents(run: Run, server: FakeServer) -> None:
    lines = '{"title": "Dune", "text": "sand"}\n'

    for arguments in ([], ["--rank-field", "title"]):
        outcome = await run("rerank", "q", *arguments, "-a", server.address, stdin=lines)
        assert outcome.exit_code == 0

    texts = [request.documents[0].text for request in server.journal.requests]
    assert texts == ["sand", ""]
    for request in server.journal.requests:
        assert dict(request.documents[0].fields) == {"title": "Dune", "text": "sand"}


async def test_terminal_control_characters_are_not_printed(run: Run, server: FakeServer) -> None:
    outcome = await run("rerank", "q", "\x1b[2Jbad [red]not markup[/red]\ttext", "-a", server.address)

    assert "[2Jbad [red]not markup[/red] text" in outcome.out
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "stdin", "message", "hint"),
    [
        ([], "a", "there is no query", "first argument"),
        (["q"], "", "there are no documents", "--file FILE"),
        (["q", "-f", "missing.txt"], "", "cannot read missing.txt: No such file", ""),
        (["q"], b"a\xffb", "standard input is not UTF-8 text (byte 1)", ""),
        (["q"], '{"text": "a"}\n{"text"\n', "standard input, line 2 is not JSON", "one document a line"),
        (["q"], '["a", 1]', "standard input, item 1: a document is a string or an object, not 1", ""),
        (["q", "d", "-n", "9999999999"], "", "", ""),
        (["q", "d", "-a", "http://localhost"], "", "not a gRPC address", ""),
    ],
)
async def test_wrong_input_is_one_message(
    run: Run, arguments: list[str], stdin: str | bytes, message: str, hint: str
) -> None:
    outcome = await run("rerank", *arguments, stdin=stdin)

    assert outcome.exit_code in (1, 2)
    assert message in outcome.err
    assert hint in outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("fail INVALID_ARGUMENT", "it failed (INVALID_REQUEST)", "try again in 1.5 s"),
        ("fail-bare UNAUTHENTICATED", "it failed", "--api-key"),
        ("fail-bare INTERNAL", "it failed (INTERNAL)", ""),
        ("slow", "no answer within 0.2 s", "--timeout"),
    ],
)
async def test_failed_calls(run: Run, server: FakeServer, query: str, message: str, hint: str) -> None:
    timeout_s = "0.2" if query == "slow" else "10"
    outcome = await run("rerank", query, "d", "--timeout", timeout_s, "-a", server.address)

    assert outcome.exit_code == 1
    assert outcome.err.startswith(f"error: {message}")
    assert hint in outcome.err


async def test_no_server(run: Run) -> None:
    outcome = await run("rerank", "q", "d", "-a", "127.0.0.1:1")

    assert outcome.exit_code == 1
    assert outcome.err == (
        "error: no server at 127.0.0.1:1\nhint: start one with `rerankd serve`, or name another with --address\n"
    )


async def test_an_image_is_shown_by_its_kind_or_address(run: Run, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "documents.jsonl"
    file.write_text('{"image": "data:image/png;base64,iVBORw0KGgo="}\n{"image": "https://host/1.png"}\n')

    outcome = await run("rerank", "q", "--file", str(file), "-a", server.address)

    assert [document.image for document in server.journal.requests[0].documents] == [
        "data:image/png;base64,iVBORw0KGgo=",
        "https://host/1.png",
    ]
    assert "image/png" in outcome.out
    assert "https://host/1.png" in outcome.out
    assert "iVBOR" not in outcome.out
