"""Generate the descriptors of the services in protos/upstream, which the gRPC adapters build messages from.

Part of `make generate`. Works offline and gives the same file every time; `--check` writes nothing and exits 1
when the committed file differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PROTOS: Final = "protos/upstream"
TARGET: Final = "adapters/rerankd_adapters/grpc_upstream/upstream.binpb"


def main() -> int:
    """Write the file, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    is_check = parser.parse_args().check
    content = render_upstream(ROOT)
    target = ROOT / TARGET
    is_current = target.exists() and target.read_bytes() == content
    if is_check and not is_current:
        print(f"{TARGET} differs; run `make generate` and commit the result.")
        return 1
    if not is_current:
        target.write_bytes(content)
    return 0


def render_upstream(root: Path) -> bytes:
    """Compile the protos, without comments, to a serialized `FileDescriptorSet`."""
    files = sorted(str(file.relative_to(root / PROTOS)) for file in (root / PROTOS).rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "upstream.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTOS}"]
        done = subprocess.run(
            [*command, f"--descriptor_set_out={target}", *files],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"protoc failed:\n{done.stderr}")
        return target.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
