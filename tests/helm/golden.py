"""The defaults as rendered, in `golden/defaults.yaml`; `python -m tests.helm.golden` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.helm.engine import Engine

PATH: Final = Path(__file__).parent / "golden" / "defaults.yaml"


def render(engine: Engine) -> str:
    """Return what the defaults render to, template by template."""
    files = engine.files({})
    return "".join(f"---\n# {path}\n{files[path].strip()}\n" for path in sorted(files))


if __name__ == "__main__":
    engine = Engine()
    PATH.write_text(render(engine), encoding="utf-8")
    engine.close()
