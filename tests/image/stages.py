"""Run the stages of server/Dockerfile without Docker: each in a clean Debian tree of its own, by chroot.

    sudo .venv/bin/python -m tests.image.stages FOLDER [slim|full ...]

Needs root and debootstrap. FOLDER gets the base and one tree a stage. What Docker does and this does not: layers, the
build context's .dockerignore, health checks, and isolation of processes and network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from string import Template
from typing import Final

from tests.image.dockerfile import ROOT, Instruction, Stage, lineage, read_stages
from tests.support.authorities import MACHINE

_SUITE: Final = "trixie"
_HOST_FILES: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
"""What a build on this machine needs for its network; lent to a stage and taken back."""
_PASSED: Final = ("PIP_", "SSL_CERT", "REQUESTS_CA")
"""Beginnings of this machine's own variables for package registries."""


class Builder:
    """Builds trees in a folder, each stage once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stages = read_stages()
        self._built: dict[str, Path] = {}

    def build(self, name: str) -> Path:
        """Return the tree of a stage; those it needs are built first."""
        if name in self._built:
            return self._built[name]
        stage = self._stages[name]
        base = self.build(stage.base) if stage.base in self._stages else self._debian()
        tree = self._folder / name
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(tree)], check=True)
        began_s = time.monotonic()
        self._run_stage(stage, tree)
        print(f"stage {name}: {time.monotonic() - began_s:.0f} s, {_megabytes(tree)} MB", flush=True)
        self._built[name] = tree
        return tree

    def _debian(self) -> Path:
        tree = self._folder / "debian"
        if not (tree / "etc" / "debian_version").exists():
            tree.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["debootstrap", "--variant=minbase", _SUITE, str(tree)], check=True, stdout=subprocess.DEVNULL
            )
        return tree

    def _run_stage(self, stage: Stage, tree: Path) -> None:
        lent = _lend(tree)
        inherited = [each for each in lineage(self._stages, stage.name) if each not in stage.instructions]
        place = next((each.arguments for each in reversed(inherited) if each.name == "WORKDIR"), "/")
        try:
            for each in stage.instructions:
                if each.name == "WORKDIR":
                    place = each.arguments
                    (tree / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
                elif each.name == "COPY":
                    self._copy(each, tree, place)
                elif each.name == "RUN":
                    _run(each.arguments, tree, place)
        finally:
            for path, content in lent.items():
                path.unlink() if content is None else path.write_bytes(content)

    def _copy(self, instruction: Instruction, tree: Path, place: str) -> None:
        words = instruction.words
        origin = ROOT
        if words[0].startswith("--from="):
            origin = self.build(words.pop(0).removeprefix("--from="))
        *sources, target = words
        destination = tree / os.path.normpath(f"{place}/{target}" if not target.startswith("/") else target).lstrip("/")
        for source in sources:
            path = origin / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, destination, symlinks=True, dirs_exist_ok=True)
            else:
                destination.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, destination)


def environment(instructions: list[Instruction]) -> dict[str, str]:
    """Return the variables that ENV sets."""
    found: dict[str, str] = {}
    for each in instructions:
        if each.name == "ENV":
            found |= {
                name: Template(value).safe_substitute(found)
                for name, _, value in (word.partition("=") for word in each.words)
            }
    return found


def _run(command: str, tree: Path, place: str) -> None:
    passed = {name: value for name, value in MACHINE.items() if name.startswith(_PASSED)}
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", **passed}
    script = f"cd {shlex.quote(place)} && {command}"
    done = subprocess.run(
        ["chroot", str(tree), "/bin/bash", "-o", "pipefail", "-c", script],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command}\nfailed:\n{(done.stdout + done.stderr)[-3000:]}")


def _lend(tree: Path) -> dict[Path, bytes | None]:
    """Put this machine's network files into a tree; return what was there before."""
    before: dict[Path, bytes | None] = {}
    for name in _HOST_FILES:
        path, own = tree / name.lstrip("/"), Path(name)
        if own.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            before[path] = path.read_bytes() if path.exists() else None
            path.write_bytes(own.read_bytes())
    return before


def _megabytes(tree: Path) -> int:
    listed = subprocess.run(["du", "-sm", str(tree)], check=True, capture_output=True, text=True).stdout
    return int(listed.split()[0])


if __name__ == "__main__":
    builder = Builder(Path(sys.argv[1]))
    for target in sys.argv[2:] or ["slim", "full"]:
        builder.build(target)
