"""Cohere's own API on AWS: Bedrock InvokeModel and SageMaker endpoints.

Reference: https://docs.cohere.com/docs/cohere-on-aws (cohere SDK 7.3.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from rerankd_adapters.base import (
    Capabilities,
    Endpoint,
    HttpRequest,
    ModelRule,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.providers.aws import (
    PRESENCE_VARIABLES,
    REGION_VARIABLES,
    AwsDialect,
    regional,
    resource_of,
    signed_for,
    sigv4,
)
from rerankd_adapters.providers.cohere import V2
from rerankd_adapters.wire import path_segments

_WIRE = replace(V2, model=None, fixed={"api_version": 2}, priority=None)


class BedrockInvokeAdapter(AwsDialect):
    """Cohere's request body without the model, which is part of the path."""

    wire = replace(_WIRE, path="/model/{}/invoke")

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request for the region's host."""
        request = super().build(call, regional(endpoint, call.model, self.options))
        return signed_for(request, call.model, endpoint, self.options)

    def path_of(self, call: ProviderCall) -> str:
        """Return the path; colons and slashes must be escaped as in AWS's SDKs for the signature to match."""
        name = path_segments(call.model).replace(":", "%3A").replace("/", "%2F")
        return self.wire.path.format(name)


class SageMakerAdapter(BedrockInvokeAdapter):
    """The model is the name or the ARN of an endpoint; the path has the name."""

    wire = replace(_WIRE, path="/endpoints/{}/invocations")

    def path_of(self, call: ProviderCall) -> str:
        """Return the path, which names the endpoint."""
        return super().path_of(structs.replace(call, model=resource_of(call.model)))


_COHERE = Capabilities(
    scoring=Scoring.POINTWISE,
    score_space=ScoreSpace.PROBABILITY,
    max_documents=1000,
    truncation_default=Truncation.END,
    source="cohere SDK 7.3.1; docs.cohere.com",
)

BEDROCK_INVOKE = Provider(
    name="bedrock_invoke",
    usage_units=("token", "search_unit"),
    title="Cohere on AWS Bedrock InvokeModel",
    adapter="rerankd_adapters.providers.aws_cohere:BedrockInvokeAdapter",
    reference="https://docs.cohere.com/docs/cohere-on-aws",
    checked="2026-11-21",
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    base_url_variables=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",),
    presence_variables=PRESENCE_VARIABLES,
    option_variables={"region": REGION_VARIABLES},
    options={"region": "AWS region of models named without an ARN; in the host's name and in the signature."},
    authentication=sigv4("bedrock"),
    key_is_required=False,
    capabilities=replace(_COHERE, billing_unit="search_unit"),
    rules=(ModelRule("*cohere.rerank-v3-5*", Capabilities(max_tokens_per_document=4096)),),
    quirks=("Cohere's v1 API is not served; calls are sent with api_version 2.",),
)

SAGEMAKER = replace(
    BEDROCK_INVOKE,
    name="sagemaker",
    title="Cohere on AWS SageMaker",
    adapter="rerankd_adapters.providers.aws_cohere:SageMakerAdapter",
    base_url="https://runtime.sagemaker.{region}.amazonaws.com",
    base_url_variables=("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",),
    presence_variables=(),
    authentication=sigv4("sagemaker"),
    capabilities=_COHERE,
    rules=(),
    quirks=(
        "The model is the name of an endpoint of the account, which is billed by the hour.",
        "Only endpoints of Cohere's rerank packages are supported.",
    ),
)
