"""Relative links of the repository's Markdown files point to existing files and headings."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
PAGES = [name for name in subprocess.check_output(LIST, cwd=ROOT, text=True).splitlines() if (ROOT / name).exists()]
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?![a-z+]+:)([^)#\s]*)(?:#([^)\s]+))?\)")


def broken_links(page: Path) -> list[str]:
    broken = []
    for path, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    return broken


def anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_resolve(name: str) -> None:
    assert broken_links(ROOT / name) == []


def test_missing_files_and_headings_are_reported(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# A `b`\n[1](no.md) [2](#a-b) [3](page.md#c) [4](https://x/no.md) `[5](no.md)`")
    assert broken_links(tmp_path / "page.md") == ["no.md", "page.md#c"]
