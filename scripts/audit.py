"""Look for known vulnerabilities of the locked dependencies, with pip-audit, in an environment of its own.

Advisories come from PyPI. A machine may reach a registry without them: then the first package says so, nothing else is
asked for, and the audit is skipped with its reason.

Exits 1, with one line a vulnerability, when there are any, or when an audit that began could not end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKS: Final = (
    "requirements.lock",
    "server/serve.lock",
    "server/image/slim.lock",
    "server/image/full.lock",
    "server/image/build.lock",
)
"""What users and the image run, and what builds them."""
_FOLDER: Final = ROOT / ".venvs" / "audit"
_TIMEOUT_S: Final = 900


class Vulnerability(msgspec.Struct):
    """An advisory about a version."""

    id: str
    fix_versions: list[str] = []


class Audited(msgspec.Struct):
    """One dependency, with what is known of it."""

    name: str
    version: str = ""
    skip_reason: str = ""
    vulns: list[Vulnerability] = []


class Report(msgspec.Struct):
    """What pip-audit writes."""

    dependencies: list[Audited]


class Findings(NamedTuple):
    """What a report says."""

    vulnerable: list[str]
    """One line each."""
    audited: int
    """Dependencies about which advisories could be read."""
    reason: str
    """Why the first of the others could not be."""


def findings_of(report: Report) -> Findings:
    """Sum up a report."""
    skipped = [each.skip_reason for each in report.dependencies if each.skip_reason]
    vulnerable = [
        f"{each.name} {each.version}: {found.id}, fixed in {', '.join(found.fix_versions) or 'no version yet'}"
        for each in report.dependencies
        for found in each.vulns
    ]
    return Findings(vulnerable, len(report.dependencies) - len(skipped), skipped[0] if skipped else "")


def main() -> int:
    """Audit all locks and return the exit code."""
    try:
        program = _installed()
    except subprocess.CalledProcessError as error:
        return _skip(f"pip-audit cannot be installed: {_last_line(error.stderr)}")
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.txt"
        probe.write_text(_first_requirement((ROOT / LOCKS[0]).read_text(encoding="utf-8")))
        try:
            first = _audit(program, probe)
        except subprocess.CalledProcessError as error:
            return _skip(_last_line(error.stderr))
        if not first.audited:
            return _skip(first.reason)
    found: dict[str, None] = {}
    for lock in LOCKS:
        findings = _audit(program, ROOT / lock)
        found.update(dict.fromkeys(findings.vulnerable))
        print(f"{lock}: {findings.audited} dependencies audited")
    for line in found:
        print(f"vulnerable: {line}", file=sys.stderr)
    return 1 if found else 0


def _installed() -> Path:
    uv = [sys.executable, "-m", "uv"]
    lock = ROOT / "scripts" / "audit.lock"
    _run([*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(_FOLDER)])
    _run([*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(_FOLDER / "bin" / "python"), str(lock)])
    return _FOLDER / "bin" / "pip-audit"


def _audit(program: Path, requirements: Path) -> Findings:
    flags = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    done = _run([str(program), *flags, "--requirement", str(requirements)], may_exit=(0, 1))
    try:
        return findings_of(msgspec.json.decode(done.stdout, type=Report))
    except msgspec.DecodeError:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr) from None


def _run(command: Sequence[str], may_exit: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode not in may_exit:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done


def _first_requirement(lock: str) -> str:
    """Return the first requirement of a lock, with its hashes."""
    first, *more = lock.splitlines()
    hashes = []
    for line in more:
        if not line.startswith(" "):
            break
        hashes.append(line)
    return "\n".join([first, *hashes]).rstrip(" \\") + "\n"


def _skip(reason: str) -> int:
    print(f"audit skipped: no advisories can be read from here: {reason}")
    return 0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][-300:]


if __name__ == "__main__":
    sys.exit(main())
