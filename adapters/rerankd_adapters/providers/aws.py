"""Regions and errors common to AWS services.

Reference: https://docs.aws.amazon.com/general/latest/gr/rande.html (botocore 1.44.5). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Endpoint,
    HttpRequest,
    HttpResponse,
    ProviderCall,
    Scheme,
)
from rerankd_adapters.dialect import JsonDialect
from rerankd_adapters.failure import kind_of_status
from rerankd_adapters.wire import at, read_json

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME")
PRESENCE_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
MODEL_FIELDS: Final = "additionalModelRequestFields"
_ARN: Final = re.compile(r"arn:[a-z-]+:[a-z-]+:([a-z0-9-]*):[0-9]*:(?:[a-z-]+/)?(.+)")
_HOST_REGION: Final = re.compile(r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-\d)\.(?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?")
_KINDS: Final[Mapping[str, AdapterErrorKind]] = {
    "ServiceQuotaExceededException": AdapterErrorKind.RATE_LIMITED,
    "ThrottlingException": AdapterErrorKind.RATE_LIMITED,
}
"""The quota's status is 400, which would not be tried again."""


class AwsDialect(JsonDialect):
    """JSON dialect with AWS error bodies."""

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error response by its AWS error type, else by its status."""
        return aws_kind_of(response)


def sigv4(service: str) -> tuple[Authentication]:
    """Declare SigV4 authentication with the signing name `service`."""
    return (Authentication(scheme=Scheme.SIGV4, service=service),)


def check_texts(call: ProviderCall, longest: int) -> None:
    """Check text lengths, because AWS's error does not name the offending text.

    Args:
        call: Query and documents to check.
        longest: Maximum characters of a text.

    Raises:
        AdapterError: `REJECTED` for an empty or too long text, naming its field.
    """
    documents = ((f"documents[{position}].text", text) for position, text in enumerate(call.documents))
    for field, text in (("query", call.query), *documents):
        if not 1 <= len(text) <= longest:
            message = f"{field} is {len(text)} characters long; AWS takes 1 to {longest}"
            raise AdapterError(AdapterErrorKind.REJECTED, message, field=field)


def is_cohere(model: str) -> bool:
    """Whether a model id, inference profile or ARN is that of a Cohere model."""
    return "cohere" in model.rpartition("/")[2].split(".")[:2]


def resource_of(model: str) -> str:
    """Return the name at the end of an ARN, such as that of an endpoint; other names unchanged."""
    arn = _ARN.fullmatch(model)
    return arn[2] if arn else model


def region_of(model: str, endpoint: Endpoint, options: Mapping[str, object]) -> str:
    """Return the region from, in this order, AWS's host, the model's ARN, the options and the AWS profile.

    A host serves its own region alone; a model's ARN, also that of an inference profile, lives in one region, whatever
    `AWS_REGION` says for the models without.

    Raises:
        AdapterError: `CREDENTIALS` when there is none; requests cannot be signed without it.
    """
    host, arn = _HOST_REGION.search(urlsplit(endpoint.base_url).hostname or ""), _ARN.fullmatch(model)
    told = (host and host[1], arn and arn[1], options.get("region"), options.get("profile_region"))
    region = str(next(filter(None, told), ""))
    if not region:
        message = "the AWS region is unknown; set the option region"
        raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
    return region


def model_arn(model: str, endpoint: Endpoint, options: Mapping[str, object]) -> str:
    """Return the ARN of a foundation model in the endpoint's region; an ARN is returned unchanged."""
    if model.startswith("arn:"):
        return model
    region = region_of(model, endpoint, options)
    partition = "aws-us-gov" if region.startswith("us-gov-") else "aws-cn" if region[:3] == "cn-" else "aws"
    return f"arn:{partition}:bedrock:{region}::foundation-model/{model}"


def regional(endpoint: Endpoint, model: str, options: Mapping[str, object]) -> Endpoint:
    """Return the endpoint with the `{region}` placeholder of its host replaced."""
    if "{region}" not in endpoint.base_url:
        return endpoint
    region = region_of(model, endpoint, options)
    base_url = endpoint.base_url.replace("{region}", region)
    if region.startswith("cn-"):
        base_url = base_url.replace("amazonaws.com", "amazonaws.com.cn")
    return replace(endpoint, base_url=base_url)


def signed_for(request: HttpRequest, model: str, endpoint: Endpoint, options: Mapping[str, object]) -> HttpRequest:
    """Return the request with the region that it is signed for.

    Raises:
        AdapterError: As `region_of`.
    """
    return structs.replace(request, region=region_of(model, endpoint, options))


def aws_kind_of(response: HttpResponse) -> AdapterErrorKind:
    """Classify an AWS error response by its error type, else by its status."""
    kind = _KINDS.get(error_type(response))
    return kind or kind_of_status(response.status)


def error_type(response: HttpResponse) -> str:
    """Return the AWS error type, such as `ThrottlingException`; empty if there is none."""
    said: object = response.headers.get("x-amzn-errortype")
    if not said:
        try:
            said = at(read_json(response), ("__type",))
        except AdapterError:
            return ""
    return said.partition(":")[0].rpartition("#")[2] if isinstance(said, str) else ""


def model_fields(call: ProviderCall, given: object) -> dict[str, object]:
    """Return the model-specific request fields: those of the call's options, and Cohere's parameters.

    Raises:
        AdapterError: `REJECTED` when `given` is not an object.
    """
    if not isinstance(given, dict):
        message = f"{MODEL_FIELDS} must be an object"
        raise AdapterError(AdapterErrorKind.REJECTED, message, field=f"provider_options.{MODEL_FIELDS}")
    told = call.max_tokens_per_doc is not None and is_cohere(call.model)
    return {**given, "max_tokens_per_doc": call.max_tokens_per_doc} if told else given
