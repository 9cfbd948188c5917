"""Every pod of every scenario is what Pod Security `restricted` admits, and hardened beyond it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.helm.engine import Engine, pod_templates, read_values, scenarios
from tests.helm.pod_security import RULES, violations

BREAKS: dict[str, dict[str, Any]] = {
    "no_host_namespaces": {"hostNetwork": True},
    "no_host_ports": {"containers": [{"ports": [{"hostPort": 80}]}]},
    "no_privileged_containers": {"containers": [{"securityContext": {"privileged": True}}]},
    "no_privilege_escalation": {"containers": [{"securityContext": {}}]},
    "all_capabilities_dropped": {"initContainers": [{"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}]},
    "no_capabilities_added": {"containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
    "runs_as_non_root": {"securityContext": {}},
    "no_root_user": {"containers": [{"securityContext": {"runAsUser": 0}}]},
    "seccomp": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "volume_types": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
    "sysctls": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    "no_host_probes": {"containers": [{"livenessProbe": {"httpGet": {"host": "127.0.0.1", "port": 1}}}]},
}


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each.stem)
def test_pods_are_restricted(engine: Engine, scenario: Path) -> None:
    templates = list(pod_templates(engine.objects(read_values(scenario))))
    assert len(templates) >= 2
    for template in templates:
        assert violations(template["spec"]) == []


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each.stem)
def test_pods_write_nothing_to_their_image_and_know_no_token(engine: Engine, scenario: Path) -> None:
    values = read_values(scenario)
    for template in pod_templates(engine.objects(values)):
        spec = template["spec"]
        ours = [each for each in spec["containers"] if each["name"] in {"rerankd", "envoy", "health", "migration"}]
        assert ours
        assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in ours)
        assert all(each["resources"] for each in ours)
        wants_token = values.get("serviceAccount", {}).get("automountToken", False) and ours[0]["name"] == "rerankd"
        assert spec["automountServiceAccountToken"] is wants_token
        assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_every_rule_can_fail(engine: Engine, rule: str) -> None:
    spec = next(pod_templates(engine.objects({})))["spec"]
    assert violations(spec) == []
    broken = copy.deepcopy(spec)
    broken.update(BREAKS[rule])
    assert rule in violations(broken)
