"""Envoy's settings in the chart: those of the example, and what the real Envoy takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.engine import CHART, Engine, find, read_values
from tests.support.certificates import authority, write_authority
from tests.support.envoy import SETTINGS, validate

NAMES = {"envoy": "test-rerankd-envoy", "envoy-own-secret": "test-rerankd-envoy", "envoy-plain": "test-rerankd-envoy"}


def files_of(engine: Engine, scenario: str) -> dict[str, str]:
    values = read_values(CHART / "ci" / f"{scenario}-values.yaml")
    data: dict[str, str] = find(engine.objects(values), "ConfigMap", NAMES[scenario])["data"]
    return data


def test_the_example_is_valid() -> None:
    assert validate(SETTINGS) == ""


def test_envoy_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(SETTINGS.read_text(encoding="utf-8").replace("lb_policy:", "lb_polizy:"))
    assert "lb_polizy" in validate(file)


@pytest.mark.parametrize("scenario", NAMES)
def test_the_charts_settings_are_valid(engine: Engine, scenario: str, tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    tls.mkdir()
    certificate = authority().issue_cert("rerank.example.com")
    (tls / "tls.crt").write_bytes(certificate.cert_chain_pems[0].bytes())
    (tls / "tls.key").write_bytes(certificate.private_key_pem.bytes())
    places = {
        "/etc/envoy": str(tmp_path),
        "/run/secrets/tls": str(tls),
        "/etc/ssl/certs/ca-certificates.crt": str(write_authority(tmp_path)),
    }
    for name, text in files_of(engine, scenario).items():
        for there, here in places.items():
            text = text.replace(there, here)
        (tmp_path / name).write_text(text)
    assert validate(tmp_path / "envoy.yaml") == ""


def test_the_chart_uses_the_settings_of_the_example(engine: Engine) -> None:
    """Apart from names, ports, origins, tokens and TLS."""
    values = {"envoy": {"enabled": True, "port": 10001}, "server": {"grpcPort": 9000, "httpPort": 9001}}
    chart = yaml.safe_load(find(engine.objects(values), "ConfigMap", "test-rerankd-envoy")["data"]["envoy.yaml"])
    example = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    address = chart["static_resources"]["listeners"][0].pop("address")
    del example["static_resources"]["listeners"][0]["address"]
    assert address["socket_address"] == {"address": "0.0.0.0", "port_value": 10001, "ipv4_compat": False}
    ports = []
    for cluster, same in zip(
        chart["static_resources"]["clusters"], example["static_resources"]["clusters"], strict=True
    ):
        endpoint = cluster["load_assignment"].pop("endpoints")[0]["lb_endpoints"][0]["endpoint"]
        del same["load_assignment"]["endpoints"]
        assert endpoint["address"]["socket_address"]["address"] == "test-rerankd-headless.search.svc"
        ports.append(endpoint["address"]["socket_address"]["port_value"])
    assert ports == [9000, 9001]
    assert chart == example


def test_tokens_are_checked_before_the_router(engine: Engine) -> None:
    settings: dict[str, Any] = yaml.safe_load(files_of(engine, "envoy")["envoy.yaml"])
    manager = settings["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    names = [each["name"].rpartition(".")[2] for each in manager["http_filters"]]
    assert names[-2:] == ["jwt_authn", "router"]
    provider = manager["http_filters"][-2]["typed_config"]["providers"]["callers"]
    assert (provider["issuer"], provider["audiences"]) == ("https://issuer.example.com", ["rerankd"])
    assert "local_jwks" not in provider
    jwks = settings["static_resources"]["clusters"][-1]
    endpoint = jwks["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"] == {"address": "issuer.example.com", "port_value": 8443}
    hosts = manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert hosts["allow_origin_string_match"] == [{"exact": "https://search.example.com"}]
