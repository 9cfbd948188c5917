from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_collects_no_telemetry(tmp_path: Path) -> None:
    """With its telemetry on, importing ONNX Runtime writes a device id and a database of events to the cache."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run(
        [sys.executable, "-c", "import rerankd.local.network"],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
