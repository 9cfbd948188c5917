"""An OpenID provider on the loopback interface: real keys, real tokens, and outages when a test wants one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rerankd_adapters.testing import Received, ScriptedResponse

AUDIENCE = "rerankd"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(name: str, kind: str = "RS256") -> PrivateKey:
    """Make a key pair, once a name and kind."""
    if kind.startswith("ES"):
        curves: Mapping[str, ec.EllipticCurve] = {
            "ES256": ec.SECP256R1(),
            "ES384": ec.SECP384R1(),
            "ES512": ec.SECP521R1(),
        }
        return ec.generate_private_key(curves[kind])
    if kind == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if name.startswith("short") else 2048)


def public_jwk(name: str, kind: str = "RS256", **more: Any) -> dict[str, Any]:
    """Return the public half of a key as an issuer shows it; a value of None leaves a member out."""
    algorithm = jwt.get_algorithm_by_name(kind)
    found = json.loads(algorithm.to_jwk(private_key(name, kind).public_key()))
    members = {**found, "kid": name, "use": "sig", "alg": kind, **more}
    return {key: value for key, value in members.items() if value is not None}


class Issuer:
    """Answers for one OpenID provider; serve `respond` by `Upstream` or `LoopbackServer`, and set `url`."""

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.url = ""
        """Base URL, the claim `iss`."""
        self.keys: list[Mapping[str, Any]] = list(keys) or [public_jwk("first")]
        """What its key set holds now."""
        self.fault: ScriptedResponse | None = None
        """Answers everything, while it is set."""
        self.discovery: dict[str, Any] = {}
        """Members of its discovery document that differ from the right ones."""

    def respond(self, request: Received) -> ScriptedResponse:
        """Answer a request."""
        if self.fault is not None:
            return self.fault
        if request.path == "/.well-known/openid-configuration":
            return ScriptedResponse.of_json({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.discovery})
        if request.path == "/keys":
            return ScriptedResponse.of_json({"keys": self.keys})
        return ScriptedResponse.of_json({"message": "no such page"}, status=404)

    def token(
        self,
        key: str = "first",
        kind: str = "RS256",
        headers: Mapping[str, Any] | None = None,
        lives_s: float | None = 3600,
        **claims: Any,
    ) -> str:
        """Make a token.

        Args:
            key: Name of the private key, and of the key that the token names.
            kind: How it is signed.
            headers: Further headers; a value of None leaves a header out.
            lives_s: Seconds from now until it expires; None: it never does.
            claims: Claims beside or instead of the usual ones; a value of None leaves a claim out.
        """
        expiry = {} if lives_s is None else {"exp": int(time.time() + lives_s)}
        payload = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "scope": "rerank models", **expiry, **claims}
        present = {name: value for name, value in payload.items() if value is not None}
        named = {name: value for name, value in {"kid": key, **(headers or {})}.items() if value is not None}
        return jwt.encode(present, private_key(key, kind), kind, named)
