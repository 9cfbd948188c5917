"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from tests.support.authorities import trust_one_authority
from tests.support.server import ServerProcess

pytest_plugins = ["tests.support.canary_plugin", "tests.support.collection_plugin"]

# A deadline of an example measures how busy the machine is.
hypothesis.settings.register_profile("rerankd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("rerankd")


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stores of servers under test are not the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients trust one authority, not the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        trust_one_authority(tmp_path_factory.mktemp("authorities"), patch)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server with default settings, shared by all tests that do not stop or overload it."""
    process = ServerProcess(preloads=True)
    yield process
    assert process.stop() == 0
