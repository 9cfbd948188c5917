"""Generate the JSON schema of the settings file from the settings' types: the server's, and the chart's for its values.

Works offline and gives the same files every time; `--check` writes nothing and exits 1, with a diff, when a committed
file differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generate import ROOT, report_differences
from scripts.generate_chart import SCHEMA, render_chart_schema
from scripts.generator.settings_schema import render_schema

PATH: Final = "server/rerankd/settings.schema.json"


def main() -> int:
    """Write the files, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    files = {PATH: render_schema(), SCHEMA: render_chart_schema()}
    if parser.parse_args().check:
        return report_differences(files, [])
    for path, content in files.items():
        (ROOT / path).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
