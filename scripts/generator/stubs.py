"""Runs protoc: the descriptor set that everything is read from, and the Python stubs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

STUB_FOLDER: Final = "protos/gen/python/rerank/v1"
_INIT: Final = '"""Generated messages and stubs of `rerank.v1`."""\n'


def read_descriptor_set(root: Path) -> bytes:
    """Compile the protos, with comments and imports, to a serialized `FileDescriptorSet`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "protos.binpb"
        run_protoc(root, ["--include_imports", "--include_source_info", f"--descriptor_set_out={target}"])
        return target.read_bytes()


def render_stubs(root: Path) -> dict[str, str]:
    """Compile the protos to Python; returns file contents by path relative to the repository."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = ("python", "grpc_python", "mypy", "mypy_grpc")
        run_protoc(root, [f"--{output}_out={folder}" for output in outputs])
        made = sorted((Path(folder) / "rerank" / "v1").iterdir())
        stubs = {f"{STUB_FOLDER}/{file.name}": file.read_text(encoding="utf-8") for file in made}
    for name in [name for name, text in stubs.items() if name.endswith("_pb2_grpc.py") and "\nclass " not in text]:
        del stubs[name], stubs[f"{name}i"]
    return {f"{STUB_FOLDER}/__init__.py": _INIT, f"{STUB_FOLDER}/py.typed": "", **stubs}


def run_protoc(root: Path, options: Sequence[str]) -> None:
    """Compile the protos with these options of protoc."""
    protos = root / "protos"
    files = sorted(str(file.relative_to(protos)) for file in (protos / "rerank").rglob("*.proto"))
    plugins = [
        f"--plugin={name}={Path(sys.executable).parent / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=protos", *plugins, *options, *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"protoc failed:\n{done.stderr}")
