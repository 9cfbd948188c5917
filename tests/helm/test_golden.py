"""What the defaults render to changes only on purpose."""

from __future__ import annotations

from tests.helm.engine import Engine
from tests.helm.golden import PATH, render


def test_the_defaults_render_as_recorded(engine: Engine) -> None:
    assert render(engine) == PATH.read_text(encoding="utf-8"), "if intended: .venv/bin/python -m tests.helm.golden"
