"""Files of YAML that tests are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Read a file; with libyaml, which takes a tenth of the time, where PyYAML was built with it.

    Raises:
        OSError: When it cannot be read.
        yaml.YAMLError: When it is no YAML.
    """
    return yaml.load(path.read_text("utf-8"), _LOADER)  # noqa: S506 - both are safe loaders
