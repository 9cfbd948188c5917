"""Every scenario in `ci/` renders, lints, and is what Kubernetes and the custom kinds take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rerankd.settings import load_settings
from tests.helm.engine import CHART, Engine, pod_templates, read_values, scenarios
from tests.helm.schemas import CUSTOM, KUBERNETES, problems

IDS = [each.name.removesuffix("-values.yaml") for each in scenarios()]
every_scenario = pytest.mark.parametrize("scenario", scenarios(), ids=IDS)


@every_scenario
def test_lints(engine: Engine, scenario: Path) -> None:
    assert engine.lint(read_values(scenario)) == []


@every_scenario
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid(engine: Engine, scenario: Path, version: str) -> None:
    objects = engine.objects(read_values(scenario))
    assert len(objects) > 3
    assert [problem for each in objects for problem in problems(version, each)] == []


def test_a_misspelt_field_is_found(engine: Engine) -> None:
    for each in engine.objects(read_values(CHART / "ci" / "monitoring-values.yaml")):
        if each["kind"] in {"Deployment", "ServiceMonitor"}:
            each["spec"]["replica"] = 3
            assert len(problems(KUBERNETES[0], each)) == 1


def test_the_scenarios_render_every_custom_kind(engine: Engine) -> None:
    kinds = {each["kind"] for scenario in scenarios() for each in engine.objects(read_values(scenario))}
    assert CUSTOM.keys() <= kinds


@every_scenario
def test_names_are_unique_and_namespaced(engine: Engine, scenario: Path) -> None:
    objects = [each for each in engine.objects(read_values(scenario)) if "-extra" not in each["metadata"]["name"]]
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    assert {each["metadata"].get("namespace") for each in objects if "-more" not in each["metadata"]["name"]} == {
        "search"
    }


@every_scenario
def test_every_mount_has_its_volume_and_every_reference_its_object(engine: Engine, scenario: Path) -> None:
    objects = engine.objects(read_values(scenario))
    for template in pod_templates(objects):
        volumes = {each["name"] for each in template["spec"].get("volumes", [])}
        for container in template["spec"]["containers"]:
            assert {each["name"] for each in container.get("volumeMounts", [])} <= volumes
    ports = {
        port["name"]
        for template in pod_templates(objects)
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }
    for service in objects:
        if service["kind"] == "Service":
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@every_scenario
def test_selectors_choose_the_pods_of_one_component(engine: Engine, scenario: Path) -> None:
    objects = engine.objects(read_values(scenario))
    pods = [template["metadata"]["labels"] for template in pod_templates(objects)]
    for each in objects:
        selector: dict[str, Any] = each.get("spec", {}).get("selector") or {}
        labels = selector.get("matchLabels", selector if each["kind"] == "Service" else {})
        if labels and each["kind"] != "ServiceMonitor":
            assert sum(labels.items() <= pod.items() for pod in pods) == 1, each["metadata"]["name"]


@every_scenario
def test_the_service_takes_the_settings(
    engine: Engine, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = read_values(scenario)
    secrets = values.get("secrets", {})
    for name in secrets.get("env", {}):
        monkeypatch.setenv(name, "x")
    for name in secrets.get("files", []):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text("x")
    texts = [each["data"]["rerankd.yaml"] for each in engine.objects(values) if "rerankd.yaml" in each.get("data", {})]
    assert len(texts) == (0 if "existingConfigMap" in values else 1)
    for text in texts:
        file = tmp_path / "rerankd.yaml"
        file.write_text(text.replace("/run/secrets", str(tmp_path)))
        assert load_settings(file).server.host in {"0.0.0.0", "::"}


def test_the_alerts_name_pods_and_jobs_that_exist(engine: Engine) -> None:
    rules = [
        each
        for each in engine.objects({"metrics": {"prometheusRule": {"enabled": True}}})
        if each["kind"] == "PrometheusRule"
    ]
    assert len(rules) == 1
    alerts = [rule["alert"] for group in rules[0]["spec"]["groups"] for rule in group["rules"]]
    assert len(alerts) > 5
    assert all(re.fullmatch("Rerankd[A-Za-z]+", alert) for alert in alerts)
