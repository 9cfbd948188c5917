"""Fixtures of the chart's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helm.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Helm's engine with the chart loaded."""
    engine = Engine()
    yield engine
    engine.close()
