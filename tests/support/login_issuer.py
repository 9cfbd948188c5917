"""An OpenID provider with a login page, on the loopback interface: codes, PKCE, clients with a secret."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.issuer import Issuer

CLIENT_ID = "rerankd web"
CLIENT_SECRET = "s3cret/+&:%"
"""Its characters need their encoding."""


class LoginIssuer(Issuer):
    """Logs everybody in as ann, without asking, and redeems each code once, for who began the login.

    Args:
        methods: How clients may authenticate; None: its discovery document does not say.
    """

    def __init__(self, methods: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.methods = methods
        self.codes: dict[str, dict[str, str]] = {}
        """Parameters of the logins whose codes were not redeemed, by code."""
        self.answers: dict[str, str | None] = {}
        """Parameters that differ from the right ones where browsers are sent back; None leaves one out."""
        self.claims: dict[str, Any] = {}
        """Claims of ID tokens that differ from the right ones."""
        self.token_fault: ScriptedResponse | None = None
        """Answers for the token endpoint, while it is set."""

    def respond(self, request: Received) -> ScriptedResponse:
        """Answer a request."""
        if self.fault is None:
            parts = urlsplit(request.path)
            if parts.path == "/authorize":
                return self._log_in(parts.query)
            if parts.path == "/token":
                return self.token_fault or self._redeem(request)
            self.discovery = {
                "authorization_endpoint": f"{self.url}/authorize?tenant=a",
                "token_endpoint": f"{self.url}/token",
                **({} if self.methods is None else {"token_endpoint_auth_methods_supported": self.methods}),
                **self.discovery,
            }
        return super().respond(request)

    def _log_in(self, query: str) -> ScriptedResponse:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        is_right = (
            asked["response_type"] == "code"
            and asked["client_id"] == CLIENT_ID
            and "openid" in asked["scope"].split()
            and asked["code_challenge_method"] == "S256"
            and asked["tenant"] == "a"
        )
        if not is_right:
            return ScriptedResponse.of_json({"error": "invalid_request"}, status=400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], **self.answers}
        told = urlencode({name: value for name, value in answer.items() if value is not None})
        return ScriptedResponse(status=302, headers={"location": f"{asked['redirect_uri']}?{told}"})

    def _redeem(self, request: Received) -> ScriptedResponse:
        sent = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if not self._is_client(sent, request.headers.get("authorization", "")):
            return ScriptedResponse.of_json({"error": "invalid_client"}, status=401)
        asked = self.codes.pop(sent.get("code", ""), None)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or sent["grant_type"] != "authorization_code"
            or challenge != asked["code_challenge"]
            or sent["redirect_uri"] != asked["redirect_uri"]
        ):
            return ScriptedResponse.of_json({"error": "invalid_grant"}, status=400)
        claims = {"aud": CLIENT_ID, "nonce": asked["nonce"], "lives_s": 300, **self.claims}
        return ScriptedResponse.of_json({"id_token": self.token(**claims), "access_token": "unused", "token_type": "a"})

    def _is_client(self, sent: dict[str, str], authorization: str) -> bool:
        if self.methods == ("client_secret_post",):
            return (sent.get("client_id"), sent.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)
