"""The wheel: what is in it, and that a client needs only the base dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPED = {"rerankd", "rerankd_adapters", "rerankd_client", "rerank/v1"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("rerankd-*.whl")
    return built


def test_the_wheel_has_our_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"rerankd", "rerankd_adapters", "rerankd_client", "rerank"}


def test_every_package_is_marked_as_typed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{package}/py.typed" for package in TYPED} <= names
    assert {"rerankd/web/openapi.json", "rerankd/web/docs.html", "rerankd/settings.schema.json"} <= names


def test_licence_and_notice_travel(wheel: Path) -> None:
    names = [name.rpartition("/")[2] for name in zipfile.ZipFile(wheel).namelist()]
    assert {"LICENSE", "NOTICE"} <= set(names)


def test_the_client_imports_with_the_base_dependencies_alone() -> None:
    server_only = [
        "msgspec",
        "uvicorn",
        "structlog",
        "typer",
        "rich",
        "numpy",
        "onnxruntime",
        "httpx",
        "yaml",
    ]
    code = f"""
import sys
for name in {server_only!r}:
    sys.modules[name] = None
import rerankd_client
assert not [name for name in sys.modules if name == "rerankd" or name.startswith("rerankd.")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
