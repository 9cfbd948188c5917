"""`rerankd batch` as a process, against a real server that may go away, and killed itself."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
from tests.support.server import ServerProcess

PATIENCE_S = 90.0


def start(*arguments: str | Path, **given: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rerankd.cli", "batch", *map(str, arguments)],
        stdin=given.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("RERANKD_")},
        **given,
    )


def finish(process: subprocess.Popen[str], stdin: str | None = None) -> tuple[int, str, str]:
    out, err = process.communicate(stdin, timeout=PATIENCE_S)
    return process.returncode, out, err


def run(*arguments: str | Path, stdin: str | None = None) -> tuple[int, str, str]:
    piped = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    return finish(start(*arguments, stdin=piped), stdin)


def request(number: int) -> dict[str, Any]:
    return {"id": f"q{number}", "query": f"word{number}", "documents": ["other", f"a word{number}"]}


def write_lines(path: Path, rows: list[Any]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = {".gz": gzip.decompress, ".zst": zstd.decompress}.get(path.suffix, bytes)(data)
    return [json.loads(line) for line in text.splitlines()]


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


def has_lines(path: Path, count: int) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_bytes().count(b"\n") >= count


def assert_each_once(rows: list[dict[str, Any]], count: int) -> None:
    assert sorted(row["item_index"] for row in rows) == list(range(count))
    assert {row["status"]["code"] for row in rows} == {0}
    assert all(row["item_id"] == f"q{row['item_index']}" for row in rows)
    assert all(row["results"][0]["index"] == 1 for row in rows)


def test_file_to_file(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(50)])
    target = tmp_path / "out.jsonl"

    code, out, err = run(
        "-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25", "-n", "1", "--return-documents"
    )

    assert (code, err) == (0, "")
    rows = read_lines(target)
    assert_each_once(rows, 50)
    assert rows[0]["model"] == "local/bm25"
    assert [result["document"]["text"] for result in rows[0]["results"]] == [f"a word{rows[0]['item_index']}"]
    assert rows[0]["usage"]["documents"] == 2
    shown = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert (shown["items"], shown["failed"], shown["documents"]) == ("50", "0", "100")


def test_killed_run_goes_on(server: ServerProcess, tmp_path: Path) -> None:
    count = 3000
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(count)])
    target = tmp_path / "out.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25", "--json")

    killed = start(*command)
    wait_until(has_lines(target, 100), killed)
    killed.kill()
    assert finish(killed)[0] == -signal.SIGKILL
    kept = target.read_bytes().count(b"\n")
    assert 100 <= kept < count
    with target.open("ab") as stream:
        stream.write(b'{"item_id":"q7","item_index":7,"sta')

    code, out, _ = run(*command)

    assert code == 0
    assert json.loads(out)["items_of_this_run"] == count - kept
    assert json.loads(out)["documents"] == 2 * count
    assert_each_once(read_lines(target), count)
    assert run(*command)[2] == f"{target} is complete; nothing to do\n"


def test_interrupted_run_says_how_to_go_on(server: ServerProcess, tmp_path: Path) -> None:
    count = 3000
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(count)])
    target = tmp_path / "out.parquet"
    journal = tmp_path / "out.parquet.journal.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")
    pq = pytest.importorskip("pyarrow.parquet")

    interrupted = start(*command)
    wait_until(has_lines(journal, 50), interrupted)
    interrupted.send_signal(signal.SIGINT)
    code, _, err = finish(interrupted)

    assert code == 130
    assert "interrupted; run the same command again to go on" in err
    assert not target.exists()
    assert run(*command)[0] == 0
    assert sorted(pq.read_table(target)["item_index"].to_pylist()) == list(range(count))
    assert not journal.exists()


def test_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    count = 3000
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(count)])
    target = tmp_path / "out.jsonl"
    first = ServerProcess()
    port = first.grpc_address.rpartition(":")[2]

    process = start("-i", source, "-o", target, "-a", first.grpc_address, "-m", "local/bm25")
    wait_until(has_lines(target, 100), process)
    first.stop(signal.SIGKILL)
    second = ServerProcess("--grpc-port", port)
    code, _, err = finish(process)

    assert second.stop() == 0
    assert (code, [line for line in err.splitlines() if "items/s" not in line]) == (0, [])
    assert_each_once(read_lines(target), count)


def test_server_that_stays_away(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(3000)])
    target = tmp_path / "out.jsonl"
    server = ServerProcess()

    process = start("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25", "--retry-for", "0.5")
    wait_until(has_lines(target, 100), process)
    server.stop(signal.SIGKILL)
    code, _, err = finish(process)

    assert code == 1
    assert "error: " in err
    assert "run the same command again to go on; what is done is kept" in err
    assert target.read_bytes().count(b"\n") >= 100


def test_no_server_is_said_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(0)])

    code, _, err = run("-i", source, "-o", tmp_path / "out.jsonl", "-a", "127.0.0.1:1")

    assert code == 1
    assert err.startswith("error: no server at 127.0.0.1:1\nhint: start one with `rerankd serve`")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


BAD_ROWS = [
    ("{not json", "line 1 is not JSON: "),
    ([1], "line 2: a row must be an object, is a list"),
    ({"documents": ["a"]}, "line 3: query is missing"),
    ({"query": "q"}, "line 4: documents is missing"),
    ({"query": 7, "documents": ["a"]}, "line 5: query must be a string, is a number"),
    ({"query": "q", "documents": "a"}, "line 6: documents must be a list, is a string"),
    ({"query": "q", "documents": ["a", 3]}, "line 7: documents[1] must be a string or an object, is a number"),
    ({"query": "q", "documents": [{"text": 1, "title": "t"}]}, "line 8: documents[0]: text must be a str"),
    ({"query": "q", "documents": ["a"], "topn": 1}, "line 9: topn is not a field; did you mean top_n?"),
    ({"query": "q", "documents": ["a"], "top_n": "x"}, "line 10: top_n must be an integer or null, was a string"),
    ({"query": " ", "documents": ["a"]}, "query is required for rerank"),
    ({"query": "q", "documents": ["a"], "model": "local/nope"}, "model local/nope not found"),
    ('{"query": "\\ud800", "documents": ["a"]}', "line 13 is not JSON: "),
]


def test_bad_rows_fail_alone(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [*(row for row, _ in BAD_ROWS), "", request(14)])
    target = tmp_path / "out.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")

    code, _, _ = run(*command)

    rows = {row["item_index"]: row for row in read_lines(target)}
    assert code == 1
    assert sorted(rows) == list(range(14))
    assert rows[13]["item_id"] == "q14"
    assert rows[0]["item_id"] == "", "no number, which could be the id of another row"
    assert rows[13]["status"]["code"] == 0
    for index, (_, told) in enumerate(BAD_ROWS):
        assert rows[index]["status"]["message"].startswith(told)
        assert rows[index]["status"]["code"] in (3, 5)
        assert rows[index]["results"] is None


def test_strict_stops_at_a_bad_row(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(0), "{", request(2)])
    code, _, err = run(
        "-i", source, "-o", tmp_path / "o.jsonl", "-a", server.grpc_address, "-m", "local/bm25", "--strict"
    )

    assert code == 1
    assert "error: line 2 is not JSON" in err
    assert [row["item_index"] for row in read_lines(tmp_path / "o.jsonl")] == [0]


def test_too_many_failures_stop_the_run(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", ["{"] * 100)
    target = tmp_path / "out.jsonl"
    code, _, err = run("-i", source, "-o", target, "-a", server.grpc_address, "--max-failures", "5")

    assert code == 1
    assert "error: stopped after 6 failures; the last: line 6 is not JSON" in err
    assert len(read_lines(target)) == 6


def test_failed_items_are_run_again_on_request(server: ServerProcess, tmp_path: Path) -> None:
    fallback = {**request(1), "model": "local/nope"}
    source = write_lines(tmp_path / "in.jsonl", [request(0), fallback, request(2)])
    target = tmp_path / "out.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")

    why = (
        "1 item failed; the first, item q1: model local/nope not found; did you mean local/default?\n"
        f"status.message in {target} says why each did; add --retry-failed to run them again\n"
    )
    code, _, err = run(*command)
    assert (code, err) == (1, why)
    code, _, err = run(*command)
    assert (code, err) == (1, f"{target} is complete; nothing to do\n{why}")
    code, out, _ = run(*command, "--retry-failed", "--json")

    assert (code, json.loads(out)["items_of_this_run"], json.loads(out)["failed"]) == (1, 1, 1)
    assert sorted(row["item_index"] for row in read_lines(target)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("-m", "local/default"), "changed: model"),
        (("-m", "local/bm25", "-n", "3"), "changed: top_n"),
        (("-m", "local/bm25", "--text-field", "body"), "changed: --text-field"),
    ],
)
def test_other_settings_are_refused(server: ServerProcess, tmp_path: Path, changed: tuple[str, ...], told: str) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(0)])
    target = tmp_path / "out.jsonl"
    place = ("-i", source, "-o", target, "-a", server.grpc_address)
    assert run(*place, "-m", "local/bm25")[0] == 0

    code, _, err = run(*place, *changed)

    assert code == 2
    assert told in err
    assert "start over with --no-resume" in err
    assert run(*place, *changed, "--no-resume")[0] == 0


def test_changed_input_and_foreign_output_are_refused(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(0)])
    target = tmp_path / "out.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")

    target.write_text("mine\n")
    assert "exists and is not from an earlier run" in run(*command)[2]
    assert target.read_text() == "mine\n"
    assert run(*command, "--no-resume")[0] == 0
    write_lines(source, [request(1)])
    assert "changed: the input" in run(*command)[2]
    assert "same file" in run("-i", source, "-o", source, "-a", server.grpc_address)[2]


def test_two_runs_do_not_write_one_output(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [request(number) for number in range(3000)])
    target = tmp_path / "out.jsonl"
    command = ("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")

    first = start(*command)
    wait_until(has_lines(target, 10), first)
    assert "another batch is writing" in run(*command)[2]
    assert finish(first)[0] == 0
    assert_each_once(read_lines(target), 3000)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_in_and_out(server: ServerProcess, tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"in.jsonl.{suffix}", tmp_path / f"out.jsonl.{suffix}"
    lines = "".join(json.dumps(request(number)) + "\n" for number in range(20)).encode()
    source.write_bytes(gzip.compress(lines) if suffix == "gz" else zstd.compress(lines))

    assert run("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25")[0] == 0
    assert_each_once(read_lines(target), 20)

    source.write_bytes(source.read_bytes()[:-20] + b"not part of it" * (suffix == "zst"))
    code, _, err = run("-i", source, "-o", tmp_path / "cut.jsonl", "-a", server.grpc_address, "-m", "local/bm25")
    assert code == 2
    assert "is not a whole compressed file" in err


def test_parquet_in_and_out(server: ServerProcess, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {"qid": number, "q": f"word{number}", "hits": [{"body": "x"}, {"body": f"a word{number}"}], "label": 1}
        for number in range(600)
    ]
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.Table.from_pylist(rows), source, row_group_size=100)

    columns = ("--query-column", "q", "--documents-column", "hits", "--id-column", "qid", "--text-field", "body")
    code, _, err = run("-i", source, "-o", target, "-a", server.grpc_address, "-m", "local/bm25", *columns, "-n", "1")

    assert (code, err) == (0, "")
    found = {row["item_index"]: row for row in pq.read_table(target).to_pylist()}
    assert sorted(found) == list(range(600))
    assert found[7]["item_id"] == "7"
    assert [result["index"] for result in found[7]["results"]] == [1]
    assert found[7]["status_code"] == 0
    assert found[7]["usage"]["documents"] == 2
    source.write_bytes(b"not parquet")
    assert "is not a Parquet file" in run("-i", source, "-o", tmp_path / "o.jsonl")[2]


def test_pipe_through_the_engine_in_this_process() -> None:
    rows = "".join(json.dumps(request(number)) + "\n" for number in range(5))
    code, out, err = run("-i", "-", "-o", "-", "--in-process", "-m", "local/bm25", "--concurrency", "2", stdin=rows)

    assert code == 0
    assert_each_once([json.loads(line) for line in out.splitlines()], 5)
    assert ["items", "5"] in [line.split() for line in err.splitlines()], err


def test_unknown_fields_are_left_aside_on_request(server: ServerProcess, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [{**request(0), "gold": [1]}])
    command = ("-i", source, "-a", server.grpc_address, "-m", "local/bm25")
    assert run(*command, "-o", tmp_path / "strict.jsonl")[0] == 1
    assert run(*command, "-o", tmp_path / "out.jsonl", "--ignore-unknown")[0] == 0


def test_help_shows_how() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "rerankd batch -i queries.jsonl -o ranked.jsonl" in out
    for option in ("--resume", "--retry-failed", "--max-failures", "--in-process", "--query-column", "--address"):
        assert option in out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell the peak")
def test_memory_does_not_grow_with_the_input(server: ServerProcess, tmp_path: Path) -> None:
    # VmHWM and not ru_maxrss, which a child inherits from this process.
    program = (
        "import sys; from rerankd.cli import main; code = main(sys.argv[1:]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); sys.exit(code)"
    )
    peaks_kb = []
    for count in (1_000, 20_000):
        source = write_lines(
            tmp_path / f"{count}.jsonl", [request(number) | {"query": "capital " * 125} for number in range(count)]
        )
        arguments = ("batch", "-i", source, "-o", tmp_path / f"{count}.out.jsonl", "-a", server.grpc_address)
        outcome = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments), "-m", "local/bm25"],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        peaks_kb.append(int(outcome.stdout.split()[-1]))
    assert peaks_kb[1] - peaks_kb[0] < 15_000, peaks_kb
