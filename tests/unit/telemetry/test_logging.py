"""Lines of calls are written in pieces that a pipe takes whole; times are in UTC."""

from __future__ import annotations

from rerankd.telemetry.logging import PIPE_BYTES, pack, timestamp


def test_lines_are_packed_in_order_into_pieces_that_a_pipe_takes_whole() -> None:
    lines = [f"{number} {'x' * 300}\n".encode() for number in range(100)]
    pieces = list(pack(lines, PIPE_BYTES))
    assert b"".join(pieces) == b"".join(lines)
    assert len(pieces) < 10
    assert max(map(len, pieces)) <= PIPE_BYTES
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_a_line_longer_than_a_piece_is_written_by_itself() -> None:
    lines = [b"first\n", b"x" * 5_000 + b"\n", b"last\n"]
    assert list(pack(lines, PIPE_BYTES)) == lines
    assert list(pack([], PIPE_BYTES)) == []


def test_a_time_is_written_in_utc_with_its_microseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_795_268_825.25) == "2026-11-21T13:47:05.250000Z"
