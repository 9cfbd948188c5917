"""Which credentials a deployment uses, and how they look on the wire."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.authentication import IBM_IAM_URL, RequestAuthenticator, open_authenticator
from rerankd.providers.aws import SigV4, region_of
from rerankd.providers.optional_library import require
from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Scheme,
    header_key,
)
from rerankd_adapters.providers.cohere import COHERE

REQUEST = HttpRequest(url="https://bedrock-agent-runtime.us-west-2.amazonaws.com/rerank", body=b"{}")
ENTRA = Authentication(scheme=Scheme.ENTRA, scope="https://cognitiveservices.azure.com/.default")


class Issuer:
    """A transport that issues tokens."""

    name = "issuer"
    settings = TransportSettings()

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(status=200, body=b'{"access_token": "issued", "expires_in": 3600}')

    async def close(self) -> None:
        pass


def opened(
    *ways: Authentication, key: str = "", options: dict[str, Any] | None = None, issuer: Issuer | None = None
) -> RequestAuthenticator:
    provider = replace(COHERE, authentication=ways)
    endpoint = Endpoint(base_url="https://h", api_key=key)
    return open_authenticator(provider, endpoint, options or {}, issuer or Issuer())


async def headers_of(authenticator: RequestAuthenticator) -> dict[str, str]:
    return dict((await authenticator.authenticate(REQUEST)).headers)


async def test_static_keys() -> None:
    assert await headers_of(opened(BEARER, key="k")) == {"authorization": "Bearer k"}
    assert await headers_of(opened(header_key("Api-Key"), key="k")) == {"api-key": "k"}
    assert await headers_of(opened(BEARER, NO_KEY)) == {}


def test_repr_hides_the_key() -> None:
    assert "hush-hush" not in repr(opened(BEARER, key="hush-hush"))


def test_missing_key_names_the_variables() -> None:
    with pytest.raises(AdapterError, match="set COHERE_API_KEY or CO_API_KEY") as missing:
        opened(BEARER)
    assert missing.value.kind is AdapterErrorKind.CREDENTIALS


async def test_entra_where_there_is_no_key() -> None:
    issuer = Issuer()
    options = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}
    authenticator = opened(header_key("api-key"), ENTRA, options=options, issuer=issuer)
    assert (await headers_of(authenticator))["authorization"] == "Bearer issued"
    await headers_of(authenticator)
    (request,) = issuer.requests
    assert request.url == "https://login.microsoftonline.com/t/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default" in request.body


async def test_ibm_iam() -> None:
    issuer = Issuer()
    authenticator = opened(Authentication(scheme=Scheme.IBM_IAM), key="ibm-key", issuer=issuer)
    assert (await headers_of(authenticator))["authorization"] == "Bearer issued"
    assert issuer.requests[0].url == IBM_IAM_URL
    assert b"apikey=ibm-key" in issuer.requests[0].body


def test_missing_library_names_its_extra() -> None:
    with pytest.raises(AdapterError, match=r"no_such_library is not installed; install rerankd\[aws\]"):
        require("no_such_library.part", "aws")


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")


@pytest.mark.usefixtures("aws_credentials")
async def test_sigv4_signs_what_is_sent() -> None:
    signed = await SigV4("bedrock").authenticate(REQUEST)
    date = signed.headers["x-amz-date"]
    scope = f"{date[:8]}/us-west-2/bedrock/aws4_request"
    canonical = (
        "POST\n/rerank\n\nhost:bedrock-agent-runtime.us-west-2.amazonaws.com\n"
        f"x-amz-date:{date}\n\nhost;x-amz-date\n{hashlib.sha256(REQUEST.body).hexdigest()}"
    )
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4a-secret"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    assert signed.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    )


@pytest.mark.usefixtures("aws_credentials")
async def test_sigv4_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(AdapterError, match="no AWS credentials"):
        await SigV4("bedrock").authenticate(REQUEST)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (REQUEST.url, "us-west-2"),
        ("https://bedrock-agent-runtime.ap-northeast-1.amazonaws.com", "ap-northeast-1"),
        ("https://vpce-1.bedrock.us-gov-west-1.vpce.amazonaws.com", "us-gov-west-1"),
    ],
)
def test_region_of_a_host(url: str, region: str) -> None:
    assert region_of(url) == region


def test_unknown_region() -> None:
    with pytest.raises(AdapterError, match="set the option region"):
        region_of("https://proxy.example")


async def test_google_credentials_are_refreshed_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from rerankd.providers.google import google_token

    class Credentials:
        token = "issued"
        expiry = None

        def refresh(self, request: object) -> None:
            pass

    class Auth:
        GoogleAuthError = ValueError

        @staticmethod
        def default(scopes: list[str]) -> tuple[Credentials, str]:
            return Credentials(), "project"

        @staticmethod
        def Request() -> object:  # noqa: N802 - the library's name
            return object()

    monkeypatch.setattr("rerankd.providers.google.require", lambda module, extra: Auth)
    assert (await google_token()()).value == "issued"
