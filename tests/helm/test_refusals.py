"""Wrong values are refused with a message that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.engine import Engine, RefusedValuesError

JWT = {"enabled": True, "issuer": "https://issuer.example.com", "jwks": "{}"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replicas": 3}, r"'replicas' not allowed"),
    "unknown nested key": ({"image": {"name": "x"}}, r"at '/image': .*'name' not allowed"),
    "wrong type": ({"replicaCount": "three"}, r"at '/replicaCount': got string, want integer"),
    "out of range": ({"server": {"grpcPort": 80}}, r"at '/server/grpcPort'"),
    "not one of": ({"service": {"type": "Ingress"}}, r"at '/service/type'.*ClusterIP"),
    "bad digest": ({"image": {"digest": "sha256:abc"}}, r"at '/image/digest'"),
    "secret as a value": (
        {"secrets": {"env": {"COHERE_API_KEY": "abc"}}},
        r"at '/secrets/env/COHERE_API_KEY': got string",
    ),
    "secret without key": ({"secrets": {"env": {"A": {"name": "s"}}}}, r"missing property 'key'"),
    "misspelt setting": ({"config": {"cahce": {}}}, r"at '/config': .*'cahce' not allowed"),
    "misspelt nested setting": ({"config": {"cache": {"ttl": 3}}}, r"at '/config/cache': .*'ttl' not allowed"),
    "setting of the chart": ({"config": {"server": {"grpc_port": 1}}}, r"config\.server\.grpc_port .*server\.grpcPort"),
    "authentication": ({"auth": {"allowUnauthenticated": False}}, r"auth\.apiKeys\.enabled and .* both false"),
    "tls of the pods": ({"config": {"server": {"tls": {"certificate_file": "/a"}}}}, r"use envoy\.tls"),
    "keys of nobody": ({"auth": {"apiKeys": {"enabled": True}}}, r"auth\.apiKeys needs keys"),
    "access by the settings": ({"config": {"access": {"enabled": True}}}, r"use the value auth\.apiKeys\.enabled"),
    "database secret without key": ({"database": {"secret": {"name": "a"}}}, r"database\.secret needs name and key"),
    "two autoscalers": ({"autoscaling": {"enabled": True}, "keda": {"enabled": True}}, r"choose one"),
    "autoscaling upside down": ({"autoscaling": {"enabled": True, "maxReplicas": 2}}, r"minReplicas is above"),
    "autoscaling on nothing": (
        {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}},
        r"needs a target",
    ),
    "keda on nothing": ({"keda": {"enabled": True, "targetCPUUtilizationPercentage": 0}}, r"needs a trigger"),
    "two monitors": (
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
        r"scraped twice: choose one",
    ),
    "monitor of no service": (
        {"metrics": {"service": False, "serviceMonitor": {"enabled": True}}},
        r"metrics\.service",
    ),
    "two redis": ({"redis": {"url": "redis://x", "secret": {"name": "a", "key": "b"}}}, r"choose one"),
    "redis secret without key": ({"redis": {"secret": {"name": "a"}}}, r"redis\.secret needs name and key"),
    "two settings": ({"existingConfigMap": "a", "config": {"log": {}}}, r"one of them"),
    "routes of no gateway": ({"gateway": {"grpcRoute": True}, "auth": {"allowExposure": True}}, r"gateway\.parentRefs"),
    "certificate of nobody": ({"certificate": {"enabled": True}}, r"certificate\.issuerRef"),
    "tls without secret": ({"envoy": {"enabled": True, "tls": True}}, r"envoy\.tlsSecretName, or certificate\.enabled"),
    "tokens without envoy": ({"envoy": {"jwt": JWT}}, r"envoy\.enabled"),
    "tokens without keys": ({"envoy": {"enabled": True, "jwt": {**JWT, "jwks": ""}}}, r"either jwks or jwksUri"),
    "plain http keys": ({"envoy": {"jwt": {"jwksUri": "http://x"}}}, r"at '/envoy/jwt/jwksUri'"),
    "exposed load balancer": ({"service": {"type": "LoadBalancer"}}, r"service\.type LoadBalancer would let callers"),
    "exposed ingress": ({"ingress": {"enabled": True}}, r"ingress\.enabled would let callers"),
    "exposed routes": (
        {"gateway": {"grpcRoute": True, "httpRoute": True, "parentRefs": [{"name": "g"}]}},
        r"gateway\.grpcRoute, gateway\.httpRoute would let callers",
    ),
    "exposed envoy": (
        {"envoy": {"enabled": True, "service": {"type": "NodePort"}}},
        r"envoy\.service\.type NodePort would",
    ),
    "exposed beside envoy": (
        {"envoy": {"enabled": True, "jwt": JWT}, "service": {"type": "NodePort"}},
        r"service\.type NodePort would let callers",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_is_refused(engine: Engine, name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(RefusedValuesError, match=message):
        engine.files(values)


def test_tokens_make_exposing_envoy_safe(engine: Engine) -> None:
    assert engine.files(
        {"envoy": {"enabled": True, "jwt": JWT, "service": {"type": "LoadBalancer"}}, "ingress": {"enabled": True}}
    )
