"""The stubs of the Java client, made by the protoc and plugin that `clients/java/tools/pom.xml` pins."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from scripts.generator.stubs import read_descriptor_set
from scripts.generator.toolchain import ToolchainMissingError, run_tool

FOLDER: Final = "clients/java/src/main/java/dev/rerankd/v1"
_PACKAGE: Final = "dev/rerankd/v1"
_PROTOS: Final = ("rerank_service", "error_reason", "json_options")
"""What the client calls; docs/decisions/0056-the-java-client.md has why the others are left out."""
_SYSTEMS: Final = {"Linux": "linux", "Darwin": "osx"}
_MACHINES: Final = {"x86_64": "x86_64", "aarch64": "aarch_64", "arm64": "aarch_64"}


def render_java_stubs(root: Path) -> dict[str, str]:
    """Compile the protos to Java; returns file contents by path relative to the repository.

    Raises:
        ToolchainMissingError: There is no Maven, or no protoc for this machine.
    """
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine())
    if system is None or machine is None:
        raise ToolchainMissingError(f"Maven has no protoc for {platform.system()} on {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        made, programs = Path(folder) / "made", Path(folder) / "bin"
        made.mkdir()
        copy = ["mvn", "--batch-mode", "--quiet", "dependency:copy"]
        run_tool([*copy, f"-Dprograms={programs}", f"-Dplatform={system}-{machine}"], root / "clients/java/tools")
        for program in programs.iterdir():
            program.chmod(0o755)
        _compile(root, programs, made)
        files = sorted((made / _PACKAGE).iterdir())
        return {f"{FOLDER}/{file.name}": file.read_text(encoding="utf-8") for file in files}


def _compile(root: Path, programs: Path, made: Path) -> None:
    """Run the protoc of Java's runtime, which is older than ours, on what ours has read."""
    descriptors = made.parent / "protos.binpb"
    descriptors.write_bytes(read_descriptor_set(root))
    command = [
        str(programs / "protoc"),
        f"--descriptor_set_in={descriptors}",
        f"--plugin=protoc-gen-grpc-java={programs / 'protoc-gen-grpc-java'}",
        f"--java_out={made}",
        f"--grpc-java_out=@generated=omit:{made}",
        *(f"rerank/v1/{name}.proto" for name in _PROTOS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"protoc failed:\n{done.stderr}")
