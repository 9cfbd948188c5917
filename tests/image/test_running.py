"""The image's stages, run in clean Debian trees: the result serves without privileges and without a place to write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.image.dockerfile import lineage, read_stages
from tests.image.stages import Builder, environment
from tests.support.ports import free_port

pytestmark = pytest.mark.image
DEFAULT_FOLDER = Path("/var/tmp/rerankd-image")
MOUNTS = """
set -e
mount --bind $0 $0
mount -o remount,ro,bind $0
mount -t tmpfs tmpfs $0/tmp
mount -t tmpfs -o uid=65532,gid=65532 tmpfs $0/var/cache/rerankd
mount -t proc proc $0/proc
exec chroot --userspec=65532:65532 $0 env -i "$@"
"""
FORBIDDEN = ("gcc", "cc", "g++", "make", "pip", "pip3", "curl", "wget", "sudo")


@pytest.fixture(scope="module")
def builder() -> Builder:
    if os.geteuid() or not shutil.which("debootstrap"):
        reason = "needs root and debootstrap"
        print(reason)
        pytest.skip(reason)
    return Builder(Path(os.environ.get("IMAGE_FOLDER", DEFAULT_FOLDER)))


@pytest.fixture(params=["slim", "full"])
def tree(builder: Builder, request: pytest.FixtureRequest) -> Path:
    return builder.build(request.param)


def in_image(tree: Path, *arguments: str) -> list[str]:
    """Return the command that runs in a tree as Docker would with a read-only root and without privileges."""
    variables = [f"{name}={value}" for name, value in environment(lineage(read_stages(), tree.name)).items()]
    return ["unshare", "--mount", "bash", "-c", MOUNTS, str(tree), *variables, *arguments]


@pytest.fixture
def ports(tree: Path) -> Iterator[tuple[int, int]]:
    grpc_port, http_port = free_port(), free_port()
    listen = ("--host", "127.0.0.1", "--grpc-port", str(grpc_port), "--http-port", str(http_port))
    command = in_image(tree, "rerankd", "serve", *listen)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "ready"
    yield grpc_port, http_port
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_it_serves(tree: Path, ports: tuple[int, int]) -> None:
    grpc_port, http_port = ports
    model = {"slim": "local/bm25", "full": "local/default"}[tree.name]
    body = {"model": model, "query": "bees", "documents": ["stocks", "honey from bees"]}
    with httpx.Client(trust_env=False, timeout=30) as client:
        response = client.post(f"http://127.0.0.1:{http_port}/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["results"][0]["index"] == 1
    health = in_image(tree, "rerankd", "health", "--address", f"127.0.0.1:{grpc_port}")
    assert subprocess.run(health, capture_output=True, check=False).returncode == 0


def test_it_has_no_compiler_and_no_installer(tree: Path) -> None:
    found = [tree / folder / name for name in FORBIDDEN for folder in ("usr/bin", "usr/local/bin", "opt/rerankd/bin")]
    assert [str(path) for path in found if path.exists()] == []
    assert list(tree.glob("opt/rerankd/lib/python3*/site-packages/pip")) == []
    assert (
        subprocess.run(in_image(tree, "python3", "-c", "import ensurepip"), capture_output=True, check=False).returncode
        == 1
    )


def test_its_root_is_read_only_and_it_lists_its_parts(tree: Path) -> None:
    written = subprocess.run(in_image(tree, "touch", "/opt/rerankd/x"), capture_output=True, text=True, check=False)
    assert "Read-only file system" in written.stderr
    bill = json.loads((tree / "opt/rerankd/sbom.cdx.json").read_text())
    names = {each["name"] for each in bill["components"]}
    assert {"grpcio", "libc6", "python3.13-minimal", "rerankd"} <= names
