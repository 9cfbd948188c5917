"""Print the software bill of materials of this environment: CycloneDX 1.6 as JSON, Python and Debian packages.

Run by the environment's own Python: `python sbom.py NAME`. The same environment gives the same text.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any


def python_components() -> list[dict[str, Any]]:
    """Return the distributions that this Python imports from, by name."""
    found = {each.name.lower(): each for each in metadata.distributions()}
    return [_python_component(name, found[name]) for name in sorted(found)]


def _python_component(name: str, distribution: metadata.Distribution) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "name": name,
        "version": distribution.version,
        "purl": f"pkg:pypi/{name.replace('_', '-')}@{distribution.version}",
    }
    fields = distribution.metadata.json
    stated = fields.get("license_expression") or fields.get("license") or ""
    if licence := str(stated).strip().partition("\n")[0][:100]:
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def debian_components() -> list[dict[str, Any]]:
    """Return the packages of the distribution; none where it is no Debian."""
    dpkg = shutil.which("dpkg-query")
    if dpkg is None:
        return []
    listed = subprocess.run(
        [dpkg, "--show", "--showformat", "${Package} ${Version} ${Architecture}\n"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = sorted(line.split() for line in listed.splitlines())
    return [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}?arch={arch}"}
        for name, version, arch in rows
    ]


def bill(name: str) -> dict[str, Any]:
    """Return the bill of an image."""
    version = metadata.version("rerankd")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [*python_components(), *debian_components()],
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1]), indent=1))
