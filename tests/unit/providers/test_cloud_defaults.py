"""What Google's and AWS's own libraries know already, from configuration files of the test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.http_provider import open_remote_provider
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, Provider, ProviderCall
from rerankd_adapters.providers.aws import region_of
from rerankd_adapters.registry import find_provider
from rerankd_adapters.testing import LoopbackServer, ScriptedResponse
from rerankd_adapters.testing.server import Received

VERTEX_CALL = ProviderCall(model="semantic-ranker-default@latest", query="q", documents=["a"])
BEDROCK_CALL = ProviderCall(model="cohere.rerank-v3-5:0", query="q", documents=["a"])
VERTEX_REPLY = {"records": [{"id": "0", "score": 0.5}]}
BEDROCK_REPLY = {"results": [{"index": 0, "relevanceScore": 0.5}]}


def provider(name: str) -> Provider:
    found = find_provider(name)
    assert found is not None
    return found


@pytest_asyncio.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = open_transport(TransportSettings(client="httpx", uses_environment_proxy=False))
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    google = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
    for name in (*google, "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


def answer_google(received: Received) -> ScriptedResponse:
    if received.path == "/token":
        return ScriptedResponse.of_json({"access_token": "issued", "expires_in": 3600})
    return ScriptedResponse.of_json(VERTEX_REPLY)


def write_service_account(path: Path, token_url: str) -> Path:
    """Write what the console hands out for a service account of the project `found`."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "found",
        "private_key": key.decode(),
        "client_email": "ranker@found.example",
        "token_uri": token_url,
    }
    path.write_text(json.dumps(account), "utf-8")
    return path


@pytest.mark.parametrize(("given", "used"), [({}, "found"), ({"project": "mine"}, "mine")])
async def test_project_of_the_default_credentials(
    given: dict[str, str], used: str, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("google.auth")
    async with LoopbackServer(answer_google) as server:
        account = write_service_account(tmp_path / "account.json", f"{server.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        deployment = open_remote_provider(provider("vertex"), Endpoint(base_url=server.url), transport, options=given)
        assert (await deployment.rerank(VERTEX_CALL)).scores == [0.5]
    asked = server.received[-1]
    assert asked.path.startswith(f"/v1/projects/{used}/locations/global/")
    assert asked.headers["x-goog-user-project"] == used
    assert asked.headers["authorization"] == "Bearer issued"


async def test_key_leaves_the_default_credentials_alone(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("google.auth")
    account = write_service_account(tmp_path / "account.json", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    endpoint = Endpoint(base_url="http://127.0.0.1:1", api_key="a-token")
    with pytest.raises(AdapterError, match="set the option project") as failed:
        await open_remote_provider(provider("vertex"), endpoint, transport).rerank(VERTEX_CALL)
    assert failed.value.kind is AdapterErrorKind.CREDENTIALS


@pytest.mark.parametrize("content", [None, "no JSON", '{"type": "unheard-of"}'])
async def test_project_that_cannot_be_found(
    content: str | None, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("google.auth")
    if content is not None:
        (tmp_path / "account.json").write_text(content, "utf-8")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    deployment = open_remote_provider(provider("vertex"), Endpoint(base_url="http://127.0.0.1:1"), transport)
    with pytest.raises(AdapterError, match="set the option project"):
        await deployment.rerank(VERTEX_CALL)


def write_profile(path: Path) -> None:
    path.write_text(
        "[default]\nregion = eu-west-1\n[profile other]\nregion = ap-south-1\n"
        "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = a-secret\n",
        "utf-8",
    )


@pytest.mark.parametrize(("given", "used"), [({}, "ap-south-1"), ({"region": "us-east-2"}, "us-east-2")])
async def test_region_of_the_profile(
    given: dict[str, str], used: str, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("botocore")
    write_profile(tmp_path / "aws")
    monkeypatch.setenv("AWS_PROFILE", "other")
    async with LoopbackServer(lambda _: ScriptedResponse.of_json(BEDROCK_REPLY)) as server:
        deployment = open_remote_provider(provider("bedrock"), Endpoint(base_url=server.url), transport, options=given)
        assert (await deployment.rerank(BEDROCK_CALL)).scores == [0.5]
    (asked,) = server.received
    assert f"/{used}/bedrock/aws4_request" in asked.headers["authorization"]
    assert f"arn:aws:bedrock:{used}::foundation-model/{BEDROCK_CALL.model}" in asked.body.decode()


@pytest.mark.parametrize(
    ("model", "base_url", "region"),
    [
        ("arn:aws:bedrock:us-west-2::foundation-model/m", "https://h", "us-west-2"),
        ("m", "https://bedrock-agent-runtime.eu-west-3.amazonaws.com", "eu-west-3"),
        ("m", "https://bedrock-agent-runtime.{region}.amazonaws.com", "ap-south-1"),
    ],
)
def test_what_is_called_goes_before_the_profile(model: str, base_url: str, region: str) -> None:
    assert region_of(model, Endpoint(base_url=base_url), {"profile_region": "ap-south-1"}) == region


@pytest.mark.parametrize("profile", ["no-such-profile", None])
async def test_region_that_cannot_be_found(
    profile: str | None, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("botocore")
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    deployment = open_remote_provider(provider("bedrock"), Endpoint(base_url="http://127.0.0.1:1"), transport)
    with pytest.raises(AdapterError, match="the AWS region is unknown; set the option region"):
        await deployment.rerank(BEDROCK_CALL)
