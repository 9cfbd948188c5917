"""The check of commit messages: what it refuses, and which commits it reads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.check_commits import LONGEST, main, violations

LONG = "fix(cache): " + "x" * (LONGEST - len("fix(cache): "))


@pytest.mark.parametrize(
    "message",
    [
        "feat: add a model",
        "fix(engine): sort ties by index and cut after them\n\nThe order was that of the provider.",
        "refactor(engine,serving)!: rename Attempts to ChunkExecutor\n\nImports change.",
        "perf(local): share token buffers\n\n12 us of 80 a call.",
        LONG,
    ],
)
def test_good_messages(message: str) -> None:
    assert violations(message) == []


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("add a model", "not 'type(scope): summary'"),
        ("feature: add a model", "not 'type(scope): summary'"),
        ("feat:add a model", "not 'type(scope): summary'"),
        ("feat(Engine): add a model", "not 'type(scope): summary'"),
        ("", "not 'type(scope): summary'"),
        (LONG + "x", "73 characters"),
        ("fix: sort ties; cut results", "several purposes"),
        ("fix: sort ties and cut results and log", "several purposes"),
        ("fix: sort ties.", "full stop"),
        ("fix: sort ties\nThe order was wrong.", "no blank line"),
        ("perf: sort ties in C", "no body"),
        ("feat!: drop pyqwest", "no body"),
    ],
)
def test_bad_messages(message: str, says: str) -> None:
    (violation,) = violations(message)
    assert says in violation


class Repository:
    """A git repository of its own, independent of the machine's settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("init", "--quiet", str(folder))

    def run(self, *arguments: str, at: str = "2026-12-01T00:00:00Z") -> None:
        names = {
            f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        variables = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_AUTHOR_DATE": at}
        subprocess.run(
            ["git", "-C", str(self.folder.parent), *arguments],
            check=True,
            capture_output=True,
            env={**os.environ, **names, **variables},
        )

    def commit(self, message: str, **named: str) -> None:
        self.run("-C", str(self.folder), "commit", "--quiet", "--allow-empty", "--message", message, **named)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_commits_before_the_base_are_left_alone(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.commit("What was written before the rules; and more", at="2026-11-29T10:39:59Z")
    repository.commit("fix: sort ties")
    assert main(repository.folder) == 0
    assert capsys.readouterr().out == "1 commits since 2026-11-29 10:40, 0 violations\n"


def test_a_bad_commit_below_the_newest_is_named(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.commit("Sort ties\n\nA body of\n\ntwo paragraphs")
    repository.commit("fix: cut after ties")
    assert main(repository.folder) == 1
    said = capsys.readouterr().out
    assert "'Sort ties': not 'type(scope): summary'" in said
    assert said.endswith("2 commits since 2026-11-29 10:40, 1 violations\n")


def test_a_shallow_clone_without_a_remote_is_checked(repository: Repository, tmp_path: Path) -> None:
    repository.commit("fix: sort ties")
    repository.commit("Cut results")
    clone = tmp_path / "clone"
    repository.run("clone", "--quiet", "--depth", "1", repository.folder.as_uri(), str(clone))
    repository.run("-C", str(clone), "remote", "remove", "origin")
    assert main(clone) == 1


def test_merges_are_left_alone(repository: Repository) -> None:
    repository.commit("fix: sort ties")
    inside = ("-C", str(repository.folder))
    repository.run(*inside, "branch", "other")
    repository.commit("fix: cut results")
    repository.run(*inside, "checkout", "--quiet", "other")
    repository.commit("fix: log results")
    repository.run(*inside, "merge", "--quiet", "--no-ff", "--message", "Merge what others did", "-")
    assert main(repository.folder) == 0


def test_outside_a_checkout_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert main(tmp_path) == 0
