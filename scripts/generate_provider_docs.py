"""Generate docs/providers/ from the declarations of the built-in providers.

Works offline and gives the same files every time; `--check` writes nothing and exits 1, with a diff, when a
committed file differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rerankd_adapters.provider import Provider
from rerankd_adapters.registry import BUILT_IN, find_provider
from scripts.generate import ROOT, report_differences
from scripts.generator.provider_pages import render_index, render_page

FOLDER: Final = "docs/providers"


def main() -> int:
    """Write the files, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    is_check = parser.parse_args().check
    files = render_files()
    stale = [path for path in list_pages() if path not in files]
    if is_check:
        return report_differences(files, stale)
    for path, content in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            target.write_text(content, encoding="utf-8")
    for path in stale:
        (ROOT / path).unlink()
    return 0


def render_files() -> dict[str, str]:
    """Render the index and every page, by path relative to the repository."""
    providers = list_providers()
    pages = {f"{FOLDER}/{provider.name}.md": render_page(provider) for provider in providers}
    return {f"{FOLDER}/README.md": render_index(providers), **pages}


def list_providers() -> list[Provider]:
    """List the built-in providers by name; what else is installed here does not matter."""
    return [provider for name in sorted(BUILT_IN) if (provider := find_provider(name))]


def list_pages() -> list[str]:
    """List the files in the folder, which holds generated files only."""
    return sorted(f"{FOLDER}/{file.name}" for file in (ROOT / FOLDER).glob("*.md"))


if __name__ == "__main__":
    sys.exit(main())
