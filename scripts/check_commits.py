"""Check the messages of commits: Conventional Commits, one purpose each.

Checked are the commits that HEAD reaches and that were authored since `SINCE`, merges aside. A date, not a commit,
is the base, for a shallow clone holds no older commit; no remote and no branch name is needed. Outside a git checkout
(an unpacked sdist) there is nothing to check.

Exits 1, with one line a violation, when a message breaks a rule of `violations`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
SINCE: Final = datetime(2026, 11, 29, 10, 40, tzinfo=UTC)
"""Author date of the first commits that are checked; those before it were written under no such rules."""
LONGEST: Final = 72
"""Characters of a subject: what `git log --oneline` shows in a terminal of 80 columns."""
TYPES: Final = ("build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test")
NEED_BODY: Final = ("perf", "revert")
"""Types whose reason is never obvious from the subject: a measurement, or what was wrong with the reverted commit."""

_SUBJECT: Final = re.compile(
    rf"(?P<type>{'|'.join(TYPES)})(\([a-z0-9][a-z0-9_,/-]*\))?(?P<breaks>!)?: (?P<summary>\S.*)"
)
_AND: Final = re.compile(r"\band\b")


class Commit(NamedTuple):
    """A commit as git stores it."""

    name: str
    """Abbreviated hash."""
    authored: datetime
    """In UTC."""
    message: str
    """Subject and body."""


def violations(message: str) -> list[str]:
    """Return what is wrong with a commit message, in words; empty when nothing is."""
    subject, _, rest = message.strip().partition("\n")
    found = _violations_of_form(subject)
    if ";" in subject or len(_AND.findall(subject)) > 1:
        found.append("several purposes (';' or two 'and'): make one commit of each")
    if rest and not rest.startswith("\n"):
        found.append("no blank line between subject and body")
    return [*found, *_violations_of_body(subject, rest.strip())]


def _violations_of_form(subject: str) -> list[str]:
    found = [f"{len(subject)} characters, at most {LONGEST}"] if len(subject) > LONGEST else []
    parsed = _SUBJECT.fullmatch(subject)
    if parsed is None:
        return [*found, f"not 'type(scope): summary' with a type of {', '.join(TYPES)}"]
    if parsed["summary"].endswith("."):
        found.append("the summary ends with a full stop")
    return found


def _violations_of_body(subject: str, body: str) -> list[str]:
    parsed = _SUBJECT.fullmatch(subject)
    if parsed is None or body or not (parsed["breaks"] or parsed["type"] in NEED_BODY):
        return []
    return [f"no body: a breaking change, or one of type {' or '.join(NEED_BODY)}, says why"]


def read_commits(repository: Path) -> list[Commit]:
    """Return the commits HEAD reaches, newest first, without merges; none where there is no git checkout.

    Raises:
        subprocess.CalledProcessError: Git cannot read the repository.
    """
    git = shutil.which("git")
    if git is None or not (repository / ".git").exists():
        return []
    command = [git, "-C", str(repository), "log", "--no-merges", "-z", "--format=%h %at %B"]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    commits = []
    for entry in filter(None, done.stdout.split("\0")):
        name, authored_s, message = entry.split(" ", 2)
        commits.append(Commit(name, datetime.fromtimestamp(int(authored_s), UTC), message))
    return commits


def main(repository: Path = ROOT) -> int:
    """Check a repository's commits; return the exit status."""
    checked = [commit for commit in read_commits(repository) if commit.authored >= SINCE]
    found = [
        f"{commit.name} {commit.message.partition(chr(10))[0]!r}: {violation}"
        for commit in checked
        for violation in violations(commit.message)
    ]
    print("\n".join([*found, f"{len(checked)} commits since {SINCE:%Y-%m-%d %H:%M}, {len(found)} violations"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
