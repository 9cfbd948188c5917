from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rerankd.local.onnx.costs import CostMeter
from rerankd.local.onnx.session import OnnxSession
from rerankd.local.onnx.weights import MINILM
from rerankd_adapters.base import AdapterError, AdapterErrorKind


def test_onnx_runtime_collects_no_telemetry(tmp_path: Path) -> None:
    """With its telemetry on, importing ONNX Runtime writes a device id and a database of events to the cache."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run(
        [sys.executable, "-c", "import rerankd.local.onnx.session"],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []


async def test_run_under_way_is_cancelled() -> None:
    session = OnnxSession(MINILM, CostMeter(0.45))
    ids = np.full((256, 512), 2000, np.int64)
    began_s = time.monotonic()
    running = asyncio.create_task(asyncio.to_thread(session.run_batch, ids, np.zeros_like(ids)))
    await asyncio.sleep(0.3)
    session.cancel()
    with pytest.raises(AdapterError, match="being closed") as cancelled:
        await running
    assert cancelled.value.kind is AdapterErrorKind.UNAVAILABLE
    # In full it takes a minute.
    assert time.monotonic() - began_s < 15
