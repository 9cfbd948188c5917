"""The stubs of the Go client, made by the plugins that `clients/go/tools/go.mod` pins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from scripts.generator.stubs import run_protoc
from scripts.generator.toolchain import run_tool

FOLDER: Final = "clients/go/rerankv1"
_MODULE: Final = "github.com/rerankd/rerankd/clients/go"
_PLUGINS: Final = ("google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc")


def render_go_stubs(root: Path) -> dict[str, str]:
    """Compile the protos to Go; returns file contents by path relative to the repository.

    Raises:
        ToolchainMissingError: There is no Go, or its plugins cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        made, bin_folder = Path(folder) / "made", Path(folder) / "bin"
        made.mkdir()
        bin_folder.mkdir()
        command = ["go", "build", "-mod=readonly", "-o", f"{bin_folder}/", *_PLUGINS]
        run_tool(command, root / "clients/go/tools", GOTOOLCHAIN="local", GOWORK="off")
        options = [f"--plugin={plugin.name}={plugin}" for plugin in sorted(bin_folder.iterdir())]
        for output in ("go", "go-grpc"):
            options += [f"--{output}_out={made}", f"--{output}_opt=module={_MODULE}"]
        run_protoc(root, options)
        files = sorted((made / "rerankv1").iterdir())
        return {f"{FOLDER}/{file.name}": file.read_text(encoding="utf-8") for file in files}
