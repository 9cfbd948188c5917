"""Fixtures of the local provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalSettings


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    """Settings that never make a static table and touch no cache but the test's own."""
    return LocalSettings(threads=2, static_table=False, cache_dir=str(tmp_path / "cache"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalProvider]:
    """A started provider for a whole module whose tests run in one loop; its vectors are kept between tests."""
    cache_dir = str(tmp_path_factory.mktemp("cache"))
    provider = LocalProvider(LocalSettings(threads=2, static_table=False, cache_dir=cache_dir))
    await provider.start()
    yield provider
    await provider.close()


@pytest_asyncio.fixture
async def provider(settings: LocalSettings) -> AsyncIterator[LocalProvider]:
    provider = LocalProvider(settings)
    yield provider
    await provider.close()
