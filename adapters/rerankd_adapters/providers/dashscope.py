"""Alibaba Cloud Model Studio (DashScope): its native rerank API and the compatible one.

Reference: https://www.alibabacloud.com/help/en/model-studio/text-rerank-api (SDK 2.0.2). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msgspec import structs

from rerankd_adapters.base import (
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Price,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.documents import refuse_text_and_image
from rerankd_adapters.parameter import text

NATIVE: Final = Wire(
    path="/api/v1/services/rerank/text-rerank/text-rerank",
    takes_images=True,
    takes_query_images=True,
    fixed={"return_documents": False},
    instruction="instruct",
    results=("output", "results"),
    prompt_tokens=(("usage", "total_tokens"),),
)
COMPATIBLE: Final = replace(
    NATIVE, path="/compatible-api/v1/reranks", takes_images=False, takes_query_images=False, results=("results",)
)
_OTHER_ROUTES = re.compile(r"/(?:compatible-mode|compatible-api|api)/v1(?:/.*)?$")


class DashScopeAdapter(JsonDialect):
    """Option `api`: "native" (default), with grouped fields, or "compatible", with flat fields."""

    wire = NATIVE

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        if self.options.get("api") == "compatible":
            self.wire = COMPATIBLE

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; a base URL of the chat routes, which do not rerank, is reduced to its host."""
        host = _OTHER_ROUTES.sub("", endpoint.base_url)
        return super().build(call, replace(endpoint, base_url=host))

    def query_of(self, call: ProviderCall) -> object:
        """Return the text, or the image as an object.

        Raises:
            AdapterError: `UNSUPPORTED` for text and image together.
        """
        refuse_text_and_image(structs.replace(call, instruction=""), self.provider.title)
        return {"image": call.query_image} if call.query_image else super().query_of(call)

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object."""
        body = super().body_of(call)
        if self.wire is COMPATIBLE:
            return body
        groups = {"input": {name: body.pop(name) for name in ("query", "documents")}}
        return {"model": body.pop("model", call.model), **groups, "parameters": body}

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish an overdue account, status 400 here, from an invalid request."""
        if response.status == 400 and b'"Arrearage"' in response.body:
            return AdapterErrorKind.CREDENTIALS
        return super().kind_of(response)


_SOURCE = "alibabacloud.com/help/en/model-studio/text-rerank-api; dashscope SDK 2.0.2"
_TEXT = Capabilities(
    scoring=Scoring.POINTWISE,
    max_documents=500,
    max_tokens_per_document=4000,
    max_total_tokens=30_000,
    source=_SOURCE,
)

DASHSCOPE = Provider(
    name="dashscope",
    title="Alibaba Model Studio",
    adapter="rerankd_adapters.providers.dashscope:DashScopeAdapter",
    reference="https://www.alibabacloud.com/help/en/model-studio/text-rerank-api",
    checked="2026-11-21",
    aliases=("alibaba", "qwen_ai_platform"),
    base_url="https://dashscope.aliyuncs.com",
    key_variables=("DASHSCOPE_API_KEY", "QWEN_AI_PLATFORM_API_KEY"),
    base_url_variables=("DASHSCOPE_API_BASE_RERANK", "DASHSCOPE_API_BASE", "DASHSCOPE_HTTP_BASE_URL"),
    parameters={"instruct": text("dashscope SDK 2.0.2")},
    options={"api": '"native" (default) or "compatible".'},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        "qwen3-rerank": replace(_TEXT, takes_instruction=True),
        "qwen3.7-text-rerank": Capabilities(takes_instruction=True, source=_SOURCE),
        "qwen3-vl-rerank": replace(
            _TEXT, max_documents=40, max_tokens_per_document=8000, takes_images=True, takes_query_images=True
        ),
        "gte-rerank-v2": _TEXT,
    },
    prices=(
        Price(
            model="qwen3-rerank",
            unit="token",
            usd_per_million=0.069,
            source="Alibaba Model Studio, Beijing",
            date="2026-11-21",
        ),
    ),
    quirks=(
        "qwen3-vl-rerank accepts 100 texts or 40 images per call; at most 40 documents are sent.",
        "Only the native route accepts images.",
        "Other regions use https://WORKSPACE.REGION.maas.aliyuncs.com; in Singapore qwen3-rerank is $0.10.",
        "The compatible route is /compatible-api/v1/reranks; /compatible-mode/v1 serves no reranker.",
        "That models are pointwise follows from their architecture; Alibaba does not document it.",
        "An overdue account is a 400 with the code Arrearage.",
    ),
)
