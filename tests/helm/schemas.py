"""Strict JSON schemas of Kubernetes' own kinds, of several versions, and of the custom kinds the chart uses.

Kubernetes' come with the package `kubernetes-validate`, which `tools.lock` pins by hash. Those of custom kinds are read
from the CustomResourceDefinitions in their projects' Go modules, pinned by the module's hash, and kept in `.venvs/`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7

from tests.helm.engine import Object, tools
from tests.support.go_modules import ModuleFile, fetched

KUBERNETES: Final = ("1.35.0", "1.36.0", "1.37.0")

_GATEWAY: Final = ("sigs.k8s.io/gateway-api@v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=")
_PROMETHEUS: Final = (
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
_PROMETHEUS_FOLDER: Final = "example/prometheus-operator-crd/monitoring.coreos.com_"
CUSTOM: Final = {
    "GRPCRoute": ModuleFile(*_GATEWAY, "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"),
    "HTTPRoute": ModuleFile(*_GATEWAY, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    "PodMonitor": ModuleFile(*_PROMETHEUS, f"{_PROMETHEUS_FOLDER}podmonitors.yaml"),
    "PrometheusRule": ModuleFile(*_PROMETHEUS, f"{_PROMETHEUS_FOLDER}prometheusrules.yaml"),
    "ServiceMonitor": ModuleFile(*_PROMETHEUS, f"{_PROMETHEUS_FOLDER}servicemonitors.yaml"),
    "Certificate": ModuleFile(
        "github.com/cert-manager/cert-manager@v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/crds/cert-manager.io_certificates.yaml",
    ),
    "ScaledObject": ModuleFile(
        "github.com/kedacore/keda/v2@v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        "config/crd/bases/keda.sh_scaledobjects.yaml",
    ),
}


def problems(version: str, each: Object) -> list[str]:
    """Return what a Kubernetes version would refuse in an object, with the field's path."""
    validator = _custom(each["kind"], each["apiVersion"]) if each["kind"] in CUSTOM else _builtin(version, each)
    where = f"{each['kind']} {each['metadata']['name']}"
    return [f"{where} {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(each)]


def _builtin(version: str, each: Object) -> jsonschema.Draft7Validator:
    group, _, number = each["apiVersion"].rpartition("/")
    group = f"{group.partition('.')[0]}-" if group else ""
    return _kind(version, f"{each['kind'].lower()}-{group}{number}.json")


@cache
def _kind(version: str, name: str) -> jsonschema.Draft7Validator:
    schema = json.loads((_folder(version) / name).read_text(encoding="utf-8"))
    return jsonschema.Draft7Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    content = json.loads((_folder(version) / "_definitions.json").read_text(encoding="utf-8"))
    registry: Registry[Any] = Registry().with_resource("/api/_definitions.json", DRAFT7.create_resource(content))
    return registry


@cache
def _folder(version: str) -> Path:
    return next(
        tools().glob(f"lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema/v{version}-local-strict")
    )


@cache
def _custom(kind: str, api_version: str) -> jsonschema.Draft7Validator:
    definition = yaml.safe_load(fetched(CUSTOM[kind]).read_text(encoding="utf-8"))
    group, _, version = api_version.partition("/")
    assert group == definition["spec"]["group"]
    served = [each for each in definition["spec"]["versions"] if each["name"] == version and each["served"]]
    return jsonschema.Draft7Validator(_strict(served[0]["schema"]["openAPIV3Schema"]))


def _strict(schema: Any) -> Any:
    """Refuse unknown fields, as server-side validation does."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    is_open = strict.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in strict
    if strict.get("type") == "object" and isinstance(strict.get("properties"), dict) and not is_open:
        strict["additionalProperties"] = False
    if strict.get("type") == "object" and set(strict) <= {"type", "description"}:
        strict["additionalProperties"] = True  # metadata
    if strict.pop("x-kubernetes-int-or-string", False):
        strict["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return strict
