"""The chart as Helm's own engine renders it: a process in the environment that `tools.lock` pins."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from rerankd_adapters.testing.yaml_files import read_yaml
from tests.support.venvs import locked_venv

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "rerankd"
_HERE = Path(__file__).parent
Object: TypeAlias = dict[str, Any]


class RefusedValuesError(Exception):
    """Helm refuses the values; the message is what a user sees."""


def tools() -> Path:
    """Return the environment with Helm's engine, hadolint and the Kubernetes schemas."""
    return locked_venv("helm", _HERE / "tools.lock")


class Engine:
    """Renders the chart; one process serves all tests of a session."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [str(tools() / "bin" / "python"), str(_HERE / "programs" / "engine.py"), str(CHART)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._rendered: dict[str, dict[str, str]] = {}

    def files(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the rendered templates by path, those that render to nothing left out.

        Raises:
            RefusedValuesError: The schema or a template refuses the values.
        """
        request = json.dumps({"values": values})
        if request not in self._rendered:
            answer = self._ask(request)
            if "error" in answer:
                raise RefusedValuesError(answer["error"])
            self._rendered[request] = {path: text for path, text in answer["files"].items() if text.strip()}
        return self._rendered[request]

    def objects(self, values: Mapping[str, Any]) -> list[Object]:
        """Return the rendered objects, hooks included."""
        texts = (text for path, text in sorted(self.files(values).items()) if path.endswith(".yaml"))
        return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader) if each]

    def lint(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the messages of `helm lint --strict` that are warnings or errors."""
        return [
            each for each in self._ask(json.dumps({"values": values, "lint": True}))["messages"] if each["severity"] > 1
        ]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(request, file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def scenarios() -> list[Path]:
    """Return the files of `ci/`, one for each way to install the chart."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def read_values(path: Path) -> dict[str, Any]:
    """Read a file of values."""
    values: dict[str, Any] = read_yaml(path)
    return values


def find(objects: list[Object], kind: str, name: str = "test-rerankd") -> Object:
    """Return the one object of a kind and name."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each in objects]
    return found[0]


def pod_templates(objects: list[Object]) -> Iterator[Object]:
    """Yield every pod, or template of pods, with `metadata` and `spec`."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif template := each.get("spec", {}).get("template"):
            yield template
