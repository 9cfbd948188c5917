"""Log lines reach their file: soon, at once where it matters, and whole."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading

from rerankd.telemetry.lines import Lines
from rerankd.telemetry.logging import timestamp


def written(file: io.StringIO) -> list[str]:
    return file.getvalue().splitlines()


def put(lines: Lines, text: str) -> None:
    lines.write(f"{text}\n")
    lines.flush()


def test_a_line_outside_of_an_event_loop_is_written_at_once() -> None:
    file = io.StringIO()
    put(Lines(file), "first")
    assert written(file) == ["first"]


async def test_lines_wait_a_moment_for_others() -> None:
    file = io.StringIO()
    lines = Lines(file)
    put(lines, "first")
    put(lines, "second")
    assert written(file) == []
    async with asyncio.timeout(5):
        while not written(file):
            await asyncio.sleep(0.01)
    assert written(file) == ["first", "second"]


async def test_an_urgent_line_takes_those_before_it_along() -> None:
    file = io.StringIO()
    lines = Lines(file)
    put(lines, "first")
    lines.is_urgent = True
    put(lines, "fault")
    assert written(file) == ["first", "fault"]
    put(lines, "calm again")
    assert written(file) == ["first", "fault"]


async def test_many_lines_are_written_in_pieces_that_a_pipe_takes_whole() -> None:
    pieces: list[str] = []

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    lines = Lines(Pipe())
    for number in range(100):
        put(lines, f"{number} {'x' * 300}")
    lines.close()
    assert "".join(pieces).splitlines() == [f"{number} {'x' * 300}" for number in range(100)]
    assert len(pieces) < 15
    assert max(map(len, pieces)) <= 4096


async def test_no_line_of_any_thread_is_lost() -> None:
    file = io.StringIO()
    lines = Lines(file)

    def put_many(name: str) -> None:
        for number in range(500):
            put(lines, f"{name}-{number}")

    threads = [threading.Thread(target=put_many, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for number in range(500):
        put(lines, f"loop-{number}")
        if number % 50 == 0:
            await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    lines.close()
    assert sorted(written(file)) == sorted(
        f"{name}-{number}" for name in ("a", "b", "c", "loop") for number in range(500)
    )


def test_what_waits_is_written_when_the_process_ends() -> None:
    program = """
import asyncio, sys
from rerankd.telemetry.lines import Lines
async def main():
    lines = Lines(sys.stderr)
    lines.write("last\\n")
    lines.flush()
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == "last\n"


def test_a_time_is_written_in_utc_with_its_microseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_795_268_825.25) == "2026-11-21T13:47:05.250000Z"
