"""One server with default settings under limits, for the drills that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse import report
from tests.abuse.drill import ROWS, attacked_server
from tests.support.server import ServerProcess

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that keeps the figures."""
    parser.addoption("--write", action="store_true", help=f"write the table to {report.FILE.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.abuse)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures of all drills."""
    if not ROWS:
        return
    terminalreporter.write("\n" + report.markdown(ROWS))
    if config.getoption("--write", default=False):
        report.write(ROWS)


@pytest.fixture(scope="module")
def attacked() -> Iterator[ServerProcess]:
    """A server for the drills of one file."""
    process = attacked_server()
    yield process
    assert process.stop() == 0
