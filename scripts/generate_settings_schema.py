"""Generate server/rerankd/settings.schema.json, the JSON schema of the settings file, from the settings' types.

Works offline and gives the same file every time; `--check` writes nothing and exits 1, with a diff, when the committed
file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rerankd.configuration.schema import json_schema
from rerankd.settings import NOT_SETTINGS, Settings
from scripts.generate import ROOT, report_differences

PATH: Final = "server/rerankd/settings.schema.json"


def main() -> int:
    """Write the file, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    content = render_schema()
    if parser.parse_args().check:
        return report_differences({PATH: content}, [])
    (ROOT / PATH).write_text(content, encoding="utf-8")
    return 0


def render_schema() -> str:
    """Render the file."""
    schema = json_schema(Settings, title="Settings of rerankd", hidden=NOT_SETTINGS)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
