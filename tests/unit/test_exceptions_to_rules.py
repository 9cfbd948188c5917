"""What switches a check off, or catches whatever is raised, says why beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("server/rerankd", "adapters/rerankd_adapters", "clients/python", "scripts", "benchmarks")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SWITCH = re.compile(r"# (?:type: ignore|(?:ruff: )?noqa)\b")
REASON = re.compile(r"# (?:type: ignore\[[a-z, -]+\] +# \S|(?:ruff: )?noqa: [A-Z]+\d+(?:, [A-Z]+\d+)* +- \S)")
BROAD = frozenset({"Exception", "BaseException"})


def unexplained(source: str) -> Iterator[int]:
    """Yield the numbers of lines that lack a reason."""
    lines = source.splitlines()
    for number, line in enumerate(lines, 1):
        if SWITCH.search(line) and not REASON.search(line):
            yield number
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)} if node.type else BROAD
            ends_it = caught & BROAD and not any(isinstance(each, ast.Raise) for each in ast.walk(node))
            if ends_it and "# " not in lines[node.lineno - 1]:
                yield node.lineno


def test_every_exception_to_a_rule_says_why() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in unexplained(path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("a = b  # type: ignore[arg-type]", [1]),
        ("a = b  # type: ignore", [1]),
        ("a = b  # noqa: S101", [1]),
        ("a = b  # noqa: S101 - a reason", []),
        ("a = b  # type: ignore[arg-type, misc]  # a reason", []),
        ("try:\n    pass\nexcept Exception:\n    pass", [3]),
        ("try:\n    pass\nexcept:\n    pass", [3]),
        ("try:\n    pass\nexcept Exception:  # a reason\n    pass", []),
        ("try:\n    pass\nexcept (ValueError, Exception) as error:\n    raise KeyError from error", []),
        ("try:\n    pass\nexcept ValueError:\n    pass", []),
    ],
)
def test_lines_without_a_reason_are_found(source: str, lines: list[int]) -> None:
    assert list(unexplained(source)) == lines
