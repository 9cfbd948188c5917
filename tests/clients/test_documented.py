"""What the documentation says of the clients is what is run."""

from __future__ import annotations

from pathlib import Path

from tests.clients.table import CLIENTS

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


def test_table_of_the_documentation() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert rows[1:] == [client.row for client in CLIENTS]
