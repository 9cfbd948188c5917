"""AWS requests against AWS's published signature vectors, and against what botocore's own clients send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import pytest

from rerankd.providers.aws import SigV4
from rerankd_adapters.base import AdapterErrorKind, Endpoint, HttpRequest, HttpResponse, Provider, ProviderCall
from rerankd_adapters.providers.aws import aws_kind_of
from rerankd_adapters.registry import find_provider, open_adapter

SIGNED_AT = datetime(2015, 8, 30, 12, 36)
FORM = {"content-type": "application/x-www-form-urlencoded"}
VECTORS = {
    "get-vanilla": ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        "POST",
        "/?Param1=value1",
        {},
        b"",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-header-key-sort": (
        "POST",
        "/",
        {"my-header1": "value1"},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        FORM,
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}
"""Name in the AWS Signature Version 4 test suite: method, target, headers, body, signature."""

OPTIONS = {"region": "us-west-2"}
COHERE = "cohere.rerank-v3-5:0"
CALL = ProviderCall(model=COHERE, query="q", documents=["a", "b"], top_n=1, max_tokens_per_doc=512)


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(import_module("botocore.auth"), "get_current_datetime", lambda: SIGNED_AT)


@pytest.mark.parametrize("name", VECTORS)
async def test_published_vectors(name: str) -> None:
    method, target, headers, body, signature = VECTORS[name]
    url = f"https://example.amazonaws.com{target}"
    request = HttpRequest(method=method, url=url, headers=headers, body=body)
    signed = await SigV4("service", "us-east-1").authenticate(request)
    names = ";".join(sorted(["host", "x-amz-date", *headers]))
    assert signed.headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert (signed.url, signed.body) == (request.url, request.body)


def provider(name: str) -> Provider:
    found = find_provider(name)
    assert found is not None
    return found


def built(name: str, call: ProviderCall) -> HttpRequest:
    declared = provider(name)
    return open_adapter(declared, OPTIONS).build(call, Endpoint(base_url=declared.base_url))


def sent_by_botocore(service: str, operation: str, **parameters: Any) -> Any:
    """Return the request that botocore's client would have sent."""
    session = import_module("botocore.session").get_session()
    client = session.create_client(service, region_name=OPTIONS["region"])
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> Any:
        sent.append(request)
        return import_module("botocore.awsrequest").AWSResponse(request.url, 200, {}, Raw())

    client.meta.events.register("before-send", answer)
    getattr(client, operation)(**parameters)
    return sent[0]


class Raw:
    """The body of an answer that holds nothing."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield b"{}"


async def assert_same(ours: HttpRequest, theirs: Any, service: str) -> None:
    signed = await SigV4(service, OPTIONS["region"]).authenticate(ours)
    scope = f"Credential=AKIDEXAMPLE/20150830/us-west-2/{service}/aws4_request,"
    assert scope in signed.headers["authorization"]
    assert scope in theirs.headers["Authorization"].decode()
    assert urlsplit(signed.url) == urlsplit(theirs.url)
    assert json.loads(signed.body) == json.loads(theirs.body)


async def test_request_is_signed_for_its_own_region() -> None:
    request = HttpRequest(url="https://proxy.example/rerank", region="us-east-1")
    for signer in (SigV4("bedrock", "eu-west-1"), SigV4("bedrock")):
        signed = await signer.authenticate(request)
        assert "/20150830/us-east-1/bedrock/aws4_request" in signed.headers["authorization"]


async def test_rerank_is_what_botocore_sends() -> None:
    ours = built("bedrock", CALL)
    theirs = sent_by_botocore("bedrock-agent-runtime", "rerank", **json.loads(ours.body))
    await assert_same(ours, theirs, "bedrock")


async def test_invoke_model_is_what_botocore_sends() -> None:
    ours = built("bedrock_invoke", CALL)
    theirs = sent_by_botocore("bedrock-runtime", "invoke_model", modelId=COHERE, body=ours.body)
    await assert_same(ours, theirs, "bedrock")


async def test_invoke_endpoint_is_what_botocore_sends() -> None:
    ours = built("sagemaker", ProviderCall(model="my-endpoint", query="q", documents=["a"]))
    theirs = sent_by_botocore("sagemaker-runtime", "invoke_endpoint", EndpointName="my-endpoint", Body=ours.body)
    await assert_same(ours, theirs, "sagemaker")


def test_limits_are_those_of_the_service_model() -> None:
    model = import_module("botocore.session").get_session().get_service_model("bedrock-agent-runtime")
    assert model.signing_name == "bedrock"
    sources = model.operation_model("Rerank").input_shape.members["sources"]
    assert sources.metadata["max"] == provider("bedrock").capabilities.max_documents
    texts = model.shape_for("RerankTextDocument").members["text"].metadata
    assert (texts["min"], texts["max"]) == (1, 32_000)


def test_every_error_of_the_service_model_is_known() -> None:
    model = import_module("botocore.session").get_session().get_service_model("bedrock-agent-runtime")
    shapes = model.operation_model("Rerank").error_shapes
    kinds = {
        shape.name: aws_kind_of(
            HttpResponse(
                status=shape.metadata["error"]["httpStatusCode"],
                headers={"x-amzn-errortype": f"{shape.name}:http://internal.amazon.com/coral/"},
            )
        )
        for shape in shapes
    }
    assert kinds == {
        "AccessDeniedException": AdapterErrorKind.CREDENTIALS,
        "BadGatewayException": AdapterErrorKind.UNAVAILABLE,
        "ConflictException": AdapterErrorKind.UNAVAILABLE,
        "DependencyFailedException": AdapterErrorKind.UNAVAILABLE,
        "InternalServerException": AdapterErrorKind.UNAVAILABLE,
        "ResourceNotFoundException": AdapterErrorKind.MODEL_NOT_FOUND,
        "ServiceQuotaExceededException": AdapterErrorKind.RATE_LIMITED,
        "ThrottlingException": AdapterErrorKind.RATE_LIMITED,
        "ValidationException": AdapterErrorKind.REJECTED,
    }
