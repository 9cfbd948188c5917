"""The messages of the TypeScript client, made by the plugin that `clients/typescript/tools` pins."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from google.rpc import error_details_pb2

from scripts.generator.stubs import run_protoc
from scripts.generator.toolchain import run_tool

FOLDER: Final = "clients/typescript/src/gen"
_CLIENT: Final = Path("clients/typescript")
_NEEDED: Final = (
    "google/api/annotations.proto",
    "google/api/http.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "grpc/health/v1/health.proto",
)
"""What the contract imports, and what else a client reads; other languages have packages of these."""


def render_typescript_stubs(root: Path) -> dict[str, str]:
    """Compile the protos to TypeScript; returns file contents by path relative to the repository.

    Raises:
        ToolchainMissingError: There is no npm, or it cannot have the plugin.
    """
    with tempfile.TemporaryDirectory() as folder:
        made, tools = Path(folder) / "made", Path(folder) / "tools"
        made.mkdir()
        shutil.copytree(root / _CLIENT / "tools", tools, ignore=shutil.ignore_patterns("node_modules"))
        run_tool(["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"], tools)
        common = Path(error_details_pb2.__file__).parents[2]
        options = [
            f"--proto_path={_CLIENT / 'protos'}",
            f"--proto_path={common}",
            f"--plugin=protoc-gen-es={tools / 'node_modules/.bin/protoc-gen-es'}",
            f"--es_out={made}",
            "--es_opt=target=ts,import_extension=js",
            *_NEEDED,
        ]
        run_protoc(root, options)
        files = sorted(file for file in made.rglob("*") if file.is_file())
        return {f"{FOLDER}/{file.relative_to(made)}": file.read_text(encoding="utf-8") for file in files}
