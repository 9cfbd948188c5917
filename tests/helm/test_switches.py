"""What single values switch."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from rerankd.settings import SettingsError, load_settings
from tests.helm.engine import Engine, Object, find, read_values, scenarios

DIGEST = f"sha256:{'0' * 64}"


def pod(engine: Engine, values: dict[str, Any]) -> Object:
    spec: Object = find(engine.objects(values), "Deployment")["spec"]["template"]["spec"]
    return spec


def container(engine: Engine, values: dict[str, Any]) -> Object:
    found: Object = pod(engine, values)["containers"][0]
    return found


def variables(engine: Engine, values: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(engine, values)["env"]}


def settings(engine: Engine, values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(find(engine.objects(values), "ConfigMap")["data"]["rerankd.yaml"])
    return found


def kinds(engine: Engine, values: dict[str, Any]) -> set[str]:
    return {each["kind"] for each in engine.objects(values)}


@pytest.mark.parametrize(
    ("image", "registry", "expected"),
    [
        ({}, None, "rerankd/rerankd:0.1.0"),
        ({"tag": "0.2.0-slim"}, None, "rerankd/rerankd:0.2.0-slim"),
        ({"tag": "0.2.0", "digest": DIGEST}, None, f"rerankd/rerankd@{DIGEST}"),
        ({}, "mirror.example.com", "mirror.example.com/rerankd/rerankd:0.1.0"),
        ({"registry": "own.example.com"}, "mirror.example.com", "own.example.com/rerankd/rerankd:0.1.0"),
    ],
)
def test_image(engine: Engine, image: dict[str, str], registry: str | None, expected: str) -> None:
    values = {"image": image, "global": {"imageRegistry": registry} if registry else {}}
    assert container(engine, values)["image"] == expected


@pytest.mark.parametrize(
    ("release_values", "name"),
    [
        ({}, "test-rerankd"),
        ({"nameOverride": "x"}, "test-x"),
        ({"nameOverride": "test"}, "test"),
        ({"fullnameOverride": "y" * 60}, "y" * 50),
    ],
)
def test_names(engine: Engine, release_values: dict[str, str], name: str) -> None:
    objects = engine.objects(release_values)
    assert find(objects, "Deployment", name)
    assert all(len(each["metadata"]["name"]) <= 63 for each in objects)


def test_settings_are_those_of_config_with_the_charts_own(engine: Engine) -> None:
    values = {
        "config": {"server": {"http": {"keep_alive_s": 90}}, "log": {"level": "debug"}},
        "drain": {"delaySeconds": 7},
    }
    found = settings(engine, values)
    assert found["log"] == {"level": "debug"}
    assert found["server"] == {
        "host": "0.0.0.0",
        "grpc_port": 50051,
        "http_port": 8080,
        "workers": 1,
        "allow_unauthenticated": True,
        "drain_delay_s": 7,
        "drain_grace_s": 30,
        "http": {"keep_alive_s": 90},
    }


def test_large_numbers_stay_integers(engine: Engine) -> None:
    assert (
        settings(engine, {"config": {"limits": {"max_request_bytes": 134217728}}})["limits"]["max_request_bytes"]
        == 134217728
    )


@pytest.mark.parametrize("is_on", [False, True])
def test_a_change_of_settings_rolls_pods_out_only_where_asked_for(engine: Engine, is_on: bool) -> None:
    def annotations(level: str) -> Any:
        objects = engine.objects({"rolloutOnConfigChange": is_on, "config": {"log": {"level": level}}})
        return find(objects, "Deployment")["spec"]["template"]["metadata"].get("annotations")

    assert (annotations("info") != annotations("debug")) is is_on


def test_settings_and_secrets_are_mounted_as_folders_so_that_pods_see_changes(engine: Engine) -> None:
    found = container(engine, {"secrets": {"files": ["keys"]}})
    mounts = {each["mountPath"]: each for each in found["volumeMounts"]}
    assert {"/etc/rerankd", "/run/secrets/keys"} <= mounts.keys()
    assert not any("subPath" in each for each in mounts.values())
    assert variables(engine, {})["RERANKD_CONFIG"] == "/etc/rerankd/rerankd.yaml"


def test_secrets_are_references(engine: Engine) -> None:
    found = variables(engine, {"secrets": {"env": {"COHERE_API_KEY": {"name": "keys", "key": "cohere"}}}})
    assert found["COHERE_API_KEY"] == {"secretKeyRef": {"name": "keys", "key": "cohere"}}
    assert "Secret" not in kinds(engine, {})


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        ({"url": "redis://r"}, "redis://r"),
        ({"secret": {"name": "r", "key": "url"}}, {"secretKeyRef": {"name": "r", "key": "url"}}),
        ({}, None),
    ],
)
def test_redis(engine: Engine, redis: dict[str, Any], expected: Any) -> None:
    assert variables(engine, {"redis": redis}).get("RERANKD_CACHE__REDIS_URL") == expected
    egress = find(engine.objects({"redis": redis}), "NetworkPolicy")["spec"]["egress"]
    assert ({"ports": [{"port": 6379, "protocol": "TCP"}]} in egress) is (expected is not None)


@pytest.mark.parametrize(
    ("ledger", "is_shared"),
    [(None, True), ({"path": "/x"}, False), ({"redis_url": "redis://other"}, False), ({}, True)],
)
def test_limits_are_counted_in_redis_unless_the_settings_say_where(
    engine: Engine, ledger: dict[str, str] | None, is_shared: bool
) -> None:
    config = {} if ledger is None else {"access": {"ledger": ledger}}
    found = variables(engine, {"redis": {"url": "redis://r"}, "config": config})
    assert (found.get("RERANKD_ACCESS__LEDGER__REDIS_URL") == "redis://r") is is_shared
    assert found["RERANKD_CACHE__REDIS_URL"] == "redis://r"


def test_api_keys_take_the_place_of_letting_anybody_call(engine: Engine) -> None:
    secret = {"name": "admin", "key": "key"}
    values = {"auth": {"apiKeys": {"enabled": True, "bootstrapSecret": secret}}, "service": {"type": "LoadBalancer"}}
    found = settings(engine, values)
    assert found["access"] == {"enabled": True}
    assert found["server"]["allow_unauthenticated"] is False
    assert variables(engine, values)["RERANKD_ACCESS__BOOTSTRAP_KEY"] == {"secretKeyRef": secret}
    assert "access" not in settings(engine, {})


def test_tokens_do_where_there_are_no_keys(engine: Engine) -> None:
    issuers = [{"name": "idp", "issuer": "https://login.example.com", "audience": ["rerankd"]}]
    values = {"auth": {"apiKeys": {"enabled": True}}, "config": {"access": {"jwt": issuers}}}
    assert settings(engine, values)["access"] == {"enabled": True, "jwt": issuers}


def test_the_database_is_migrated_before_pods_start(engine: Engine) -> None:
    secret = {"name": "db", "key": "url"}
    objects = engine.objects({"database": {"secret": secret}})
    job = find(objects, "Job", "test-rerankd-migration")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    migration = job["spec"]["template"]["spec"]["containers"][0]
    assert migration["args"] == ["migrate"]
    url = {"name": "RERANKD_STORE__URL", "valueFrom": {"secretKeyRef": secret}}
    assert migration["env"] == [url]
    assert url in container(engine, {"database": {"secret": secret}})["env"]
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert "Job" not in kinds(engine, {})


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        ({}, True),
        ({"config": {"runs": {"calls": "all"}}}, True),
        ({"database": {"secret": {"name": "db", "key": "url"}}}, False),
        ({"config": {"store": {"url": "postgresql://db/rerankd"}}}, False),
        ({"config": {"store": {"state_dir": "/state"}}}, False),
        ({"secrets": {"env": {"RERANKD_STORE__URL": {"name": "db", "key": "url"}}}}, False),
    ],
)
def test_the_notes_tell_what_goes_with_a_pod(engine: Engine, values: dict[str, Any], is_told: bool) -> None:
    notes = engine.files(values)["rerankd/templates/NOTES.txt"]
    assert ("kept in each pod alone, and go with it: database.secret names a PostgreSQL" in notes) is is_told


@pytest.mark.parametrize(
    ("values", "has_threads"),
    [
        ({}, True),
        ({"server": {"workers": 2}}, False),
        ({"config": {"local": {"threads": 3}}}, False),
        ({"resources": {"requests": None}}, False),
    ],
)
def test_embedded_models_get_the_requested_cores(engine: Engine, values: dict[str, Any], has_threads: bool) -> None:
    assert ("RERANKD_LOCAL__THREADS" in variables(engine, values)) is has_threads


def test_variables_of_service_links_would_be_refused_as_settings(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    assert pod(engine, {})["enableServiceLinks"] is False
    monkeypatch.setenv("RERANKD_PORT", "tcp://10.0.0.1:50051")
    with pytest.raises(SettingsError, match="port"):
        load_settings()


@pytest.mark.parametrize(
    "drain", [{}, {"preStopSeconds": 0}, {"delaySeconds": 20, "graceSeconds": 100, "marginSeconds": 1}]
)
def test_the_grace_period_covers_the_drain(engine: Engine, drain: dict[str, int]) -> None:
    spec = pod(engine, {"drain": drain})
    full = {"preStopSeconds": 5, "delaySeconds": 10, "graceSeconds": 30, "marginSeconds": 10} | drain
    assert spec["terminationGracePeriodSeconds"] == sum(full.values())
    assert ("lifecycle" in spec["containers"][0]) is bool(full["preStopSeconds"])


def test_probes_ask_the_grpc_health(engine: Engine) -> None:
    found = container(engine, {"server": {"grpcPort": 9000}})
    for key in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert found[key]["grpc"] == {"port": 9000}
    liveness = found["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60


def test_services(engine: Engine) -> None:
    objects = engine.objects({"service": {"grpcPort": 443}})
    ports = {port["name"]: port for port in find(objects, "Service")["spec"]["ports"]}
    assert (ports["grpc"]["port"], ports["grpc"]["appProtocol"]) == (443, "kubernetes.io/h2c")
    headless = find(objects, "Service", "test-rerankd-headless")["spec"]
    assert headless["clusterIP"] == "None"
    assert headless["ports"][0]["port"] == 50051
    assert "publishNotReadyAddresses" not in headless


@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
def test_scalers_own_the_number_of_replicas(engine: Engine, scaler: str) -> None:
    assert find(engine.objects({}), "Deployment")["spec"]["replicas"] == 3
    objects = engine.objects({scaler: {"enabled": True}})
    assert "replicas" not in find(objects, "Deployment")["spec"]
    kind = {"autoscaling": "HorizontalPodAutoscaler", "keda": "ScaledObject"}[scaler]
    assert find(objects, kind)["spec"]["scaleTargetRef"]["name"] == "test-rerankd"


def test_no_replicas_are_a_number_too(engine: Engine) -> None:
    assert find(engine.objects({"replicaCount": 0}), "Deployment")["spec"]["replicas"] == 0


def test_autoscaling_looks_at_calls_in_flight(engine: Engine) -> None:
    objects = engine.objects({"autoscaling": {"enabled": True, "targetCallsInFlight": 64}})
    cpu, calls = find(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert cpu["containerResource"]["target"]["averageUtilization"] == 70
    assert calls["pods"]["metric"]["name"] == "rerankd_calls_in_flight"
    keda = engine.objects({"keda": {"enabled": True, "prometheusAddress": "http://p"}})
    query = find(keda, "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    assert query == 'sum(rerankd_calls_in_flight{namespace="search", pod=~"test-rerankd-.*"})'


@pytest.mark.parametrize(
    ("pdb", "expected"),
    [
        ({}, ("maxUnavailable", 1)),
        ({"minAvailable": 2}, ("minAvailable", 2)),
        ({"minAvailable": "50%"}, ("minAvailable", "50%")),
    ],
)
def test_disruption_budget(engine: Engine, pdb: dict[str, Any], expected: tuple[str, Any]) -> None:
    spec = find(engine.objects({"pdb": pdb}), "PodDisruptionBudget")["spec"]
    assert {key: spec.get(key) for key in ("maxUnavailable", "minAvailable") if key in spec} == dict([expected])


def test_who_may_call(engine: Engine) -> None:
    def peers(values: dict[str, Any]) -> list[Any]:
        (rule,) = find(engine.objects(values), "NetworkPolicy")["spec"]["ingress"]
        return [each["podSelector"] for each in rule["from"] if "podSelector" in each]

    jwt = {"enabled": True, "issuer": "https://i", "jwks": "{}"}
    assert {} in peers({})
    assert {} not in peers({"networkPolicy": {"sameNamespace": False}})
    guarded = peers({"envoy": {"enabled": True, "jwt": jwt}})
    assert {} not in guarded
    assert any(each["matchLabels"]["app.kubernetes.io/component"] == "envoy" for each in guarded)
    assert {} in peers({"envoy": {"enabled": True}})


def test_what_pods_may_reach(engine: Engine) -> None:
    def ports(egress: dict[str, Any]) -> list[list[int]]:
        rules = find(engine.objects({"networkPolicy": {"egress": egress}}), "NetworkPolicy")["spec"]["egress"] or []
        return [sorted({port["port"] for port in rule["ports"]}) for rule in rules]

    assert ports({}) == [[53], [443]]
    assert ports({"dns": False, "httpsTo": []}) == []


def test_pods_spread_by_their_own_labels(engine: Engine) -> None:
    spread = pod(engine, {})["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    own = {"matchLabels": {"app": "x"}}
    constraint = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own}
    assert (
        pod(engine, {"topologySpreadConstraints": [constraint]})["topologySpreadConstraints"][0]["labelSelector"] == own
    )


@pytest.mark.parametrize(
    ("has_envoy", "name", "port"), [(False, "test-rerankd", "http"), (True, "test-rerankd-envoy", "envoy")]
)
def test_callers_from_outside_reach_envoy_where_there_is_one(
    engine: Engine, has_envoy: bool, name: str, port: str
) -> None:
    values: dict[str, Any] = {
        "auth": {"allowExposure": True},
        "envoy": {"enabled": has_envoy},
        "ingress": {"enabled": True},
        "gateway": {"grpcRoute": True, "httpRoute": True, "parentRefs": [{"name": "g"}]},
    }
    objects = engine.objects(values)
    service = find(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert service == {"name": name, "port": {"name": port}}
    assert find(objects, "Service", name)
    for kind, number in (("GRPCRoute", 50051), ("HTTPRoute", 8080)):
        assert find(objects, kind)["spec"]["rules"][0]["backendRefs"] == [
            {"name": name, "port": 10000 if has_envoy else number}
        ]


def test_the_certificate_names_the_service_that_speaks_tls(engine: Engine) -> None:
    values = {"certificate": {"enabled": True, "issuerRef": {"name": "i"}}, "envoy": {"enabled": True, "tls": True}}
    objects = engine.objects(values)
    spec = find(objects, "Certificate")["spec"]
    assert "test-rerankd-envoy.search.svc" in spec["dnsNames"]
    volumes = find(objects, "Deployment", "test-rerankd-envoy")["spec"]["template"]["spec"]["volumes"]
    assert {"secretName": spec["secretName"]} in [each.get("secret") for each in volumes]


def test_a_service_monitor_scrapes_one_service(engine: Engine) -> None:
    objects = engine.objects({"metrics": {"serviceMonitor": {"enabled": True}}})
    spec = find(objects, "ServiceMonitor")["spec"]
    selected = [
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "Service" and spec["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    assert selected == ["test-rerankd-metrics"]
    assert find(objects, "Service", selected[0])["spec"]["ports"][0]["name"] == spec["endpoints"][0]["port"]


@pytest.mark.parametrize(
    ("monitor", "kind", "endpoints"),
    [("serviceMonitor", "ServiceMonitor", "endpoints"), ("podMonitor", "PodMonitor", "podMetricsEndpoints")],
)
def test_a_monitor_sends_a_key_where_it_is_given_one(engine: Engine, monitor: str, kind: str, endpoints: str) -> None:
    key = {"credentials": {"name": "rerankd-metrics", "key": "key"}}
    with_key, without = (
        find(engine.objects({"metrics": {monitor: {"enabled": True, **more}}}), kind)["spec"][endpoints][0]
        for more in ({"authorization": key}, {})
    )
    assert with_key["authorization"] == key
    assert "authorization" not in without


def test_labels_and_annotations_reach_every_object(engine: Engine) -> None:
    for scenario in scenarios():
        values = {
            **read_values(scenario),
            "commonLabels": {"team": "a"},
            "commonAnnotations": {"note": "b"},
            "extraObjects": [],
        }
        for each in engine.objects(values):
            assert each["metadata"]["labels"]["team"] == "a", (scenario.name, each["kind"])
            assert each["metadata"]["annotations"]["note"] == "b", (scenario.name, each["kind"])


def test_a_user_namespace_is_the_clusters_choice_unless_stated(engine: Engine) -> None:
    assert "hostUsers" not in pod(engine, {})
    assert pod(engine, {"hostUsers": False})["hostUsers"] is False
