"""Generate the stubs of the clients in other languages than Python, with plugins that each language builds or pins.

Run by `make generate`. A language whose toolchain this machine does not have is skipped, and said so. `--check`
writes nothing and exits 1, with a diff, when a committed file differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generate import ROOT, report_differences
from scripts.generator import go_stubs, java_stubs, typescript_stubs
from scripts.generator.toolchain import ToolchainMissingError

Render = Callable[[Path], dict[str, str]]
LANGUAGES: Final[Mapping[str, tuple[str, Render]]] = {
    "Go": (go_stubs.FOLDER, go_stubs.render_go_stubs),
    "Java": (java_stubs.FOLDER, java_stubs.render_java_stubs),
    "TypeScript": (typescript_stubs.FOLDER, typescript_stubs.render_typescript_stubs),
}
"""Folder of generated files alone, relative to the repository, and what renders them."""


def main() -> int:
    """Write the files, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    is_check = parser.parse_args().check
    status = 0
    for language, (folder, render) in LANGUAGES.items():
        try:
            files = render(ROOT)
        except ToolchainMissingError as reason:
            print(f"skipped the stubs of {language}: {reason}")
            continue
        stale = [path for path in _files_in(folder) if path not in files]
        if is_check:
            status |= report_differences(files, stale)
        else:
            _write(files, stale)
    return status


def _files_in(folder: str) -> list[str]:
    return sorted(str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*") if file.is_file())


def _write(files: Mapping[str, str], stale: list[str]) -> None:
    for path, content in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            target.write_text(content, encoding="utf-8")
    for path in stale:
        (ROOT / path).unlink()


if __name__ == "__main__":
    sys.exit(main())
