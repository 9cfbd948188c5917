"""The quick start of docs/operations.md: its values render what Kubernetes takes, its commands name what is there."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
import yaml

from tests.helm.engine import ROOT, Engine, find
from tests.helm.schemas import KUBERNETES, problems

PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION: Final = PAGE.partition("## On Kubernetes")[2].partition("\n## ")[0]
RELEASE: Final = "test"
"""Of the engine; the page's is `rerank`."""


def values() -> dict[str, Any]:
    (text,) = re.findall(r"<<'END'\n(.*?)\nEND\n", SECTION, re.DOTALL)
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@pytest.mark.parametrize("version", KUBERNETES)
def test_its_values_render_what_kubernetes_takes(engine: Engine, version: str) -> None:
    objects = engine.objects(values())
    assert [problem for each in objects for problem in problems(version, each)] == []
    assert engine.lint(values()) == []


def test_its_commands_name_what_is_there(engine: Engine) -> None:
    name, port = re.findall(r"port-forward service/rerank-(\S+) (\d+)", SECTION)[0]
    service = find(engine.objects(values()), "Service", f"{RELEASE}-{name}")
    assert int(port) in {each["port"] for each in service["spec"]["ports"]}
    assert f"localhost:{port}/v1/rerank" in SECTION
    secret, key = re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", SECTION)[0]
    container = find(engine.objects(values()), "Deployment", f"{RELEASE}-rerankd")["spec"]["template"]["spec"]
    (variable,) = [each for each in container["containers"][0]["env"] if each["name"] == "COHERE_API_KEY"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": secret, "key": key}
    assert "helm test rerank" in SECTION
    assert any("helm.sh/hook" in each["metadata"].get("annotations", {}) for each in engine.objects(values()))
