"""NVIDIA NIM: the hosted retrieval route and `/v1/ranking` of self-hosted containers.

Reference: https://docs.nvidia.com/nim/nemo-retriever/text-reranking (NIM 2.0, langchain-nvidia-ai-endpoints
1.5.0). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    Exchange,
    HttpRequest,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.documents import image_documents, require_inline_images
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.wire import path_segments, post_json

HOSTED_URL: Final = "https://ai.api.nvidia.com"
POLL_URL: Final = "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status"
POLL_EVERY_S: Final = 1.0
MAX_POLLS: Final = 300

SLUGS: Final = {
    "nvidia/llama-nemotron-rerank-1b-v2": "llama-nemotron-rerank-1b-v2",
    "nvidia/llama-nemotron-rerank-vl-1b-v2": "llama-nemotron-rerank-vl-1b-v2",
    "nvidia/llama-3.2-nv-rerankqa-1b-v2": "llama-3_2-nv-rerankqa-1b-v2",
    "nvidia/llama-3.2-nv-rerankqa-1b-v1": "llama-3_2-nv-rerankqa-1b-v1",
    "nv-rerank-qa-mistral-4b:1": "",
}
"""Model to its segment of the hosted path. A table, because names may contain underscores."""
_MODEL_OF_SLUG: Final = {slug: model for model, slug in SLUGS.items() if slug}
_RANKING = "ranking/"
_ROUTES = ("/ranking", "/reranking")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class NvidiaNimAdapter(JsonDialect):
    """On the hosted service `ranking/MODEL` selects `/v1/ranking`; self-hosted containers have only that route."""

    wire = Wire(
        path="/v1/ranking",
        takes_images=True,
        documents="passages",
        top_n=None,
        truncation={Truncation.END: {"truncate": "END"}, Truncation.NONE: {"truncate": "NONE"}},
        results=("rankings",),
        score="logit",
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request for the route selected by host and model name."""
        path = self.options.get("path") or self.wire.path
        if endpoint.base_url.rstrip("/").endswith(_ROUTES):
            path = ""
        elif is_hosted(endpoint) and not call.model.startswith(_RANKING) and not self.options.get("path"):
            path = retrieval_path(call.model)
        return post_json(endpoint, str(path), self.body_of(call))

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object: the query and each passage are objects."""
        body = super().body_of(call)
        body["model"] = model_of(call.model)
        body["query"] = {"text": self.query_of(call)}
        return body

    def documents_of(self, call: ProviderCall) -> object:
        """Return the passages.

        Raises:
            AdapterError: `UNSUPPORTED` for an image that is not a `data:` URL.
        """
        require_inline_images(call, self.provider.title)
        if call.images is not None:
            return image_documents(call)
        return [{"text": text} for text in call.documents]

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Send the request; while the status is 202, poll for the result every second.

        Raises:
            AdapterError: As `build` and `parse`; `UNAVAILABLE` when the result does not arrive.
        """
        response = yield self.build(call, endpoint)
        poll_url = self.options.get("poll_url") or (POLL_URL if is_hosted(endpoint) else None)
        for _ in range(MAX_POLLS):
            request_id = response.headers.get("nvcf-reqid", "")
            if response.status != 202 or not poll_url or not _REQUEST_ID.fullmatch(request_id):
                return self.parse(call, response)
            url = f"{poll_url}/{request_id}"
            response = yield HttpRequest(method="GET", url=url, headers=endpoint.headers, delay_s=POLL_EVERY_S)
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, f"no result after {MAX_POLLS} polls", status=202)


def is_hosted(endpoint: Endpoint) -> bool:
    """Whether the endpoint is NVIDIA's hosted service."""
    return urlsplit(endpoint.base_url).hostname == urlsplit(HOSTED_URL).hostname


def model_of(name: str) -> str:
    """Return the model name for the body, without `ranking/` and not as path segment."""
    bare = name.removeprefix(_RANKING)
    return _MODEL_OF_SLUG.get(bare.rpartition("/")[2], bare)


def retrieval_path(name: str) -> str:
    """Return the hosted path of a model; dots of names not in `SLUGS` become underscores."""
    model = model_of(name)
    slug = SLUGS.get(model, path_segments(model.rpartition("/")[2].replace(".", "_")))
    return "/v1/retrieval/nvidia/" + (f"{slug}/reranking" if slug else "reranking")


NVIDIA_NIM = Provider(
    name="nvidia_nim",
    title="NVIDIA NIM",
    adapter="rerankd_adapters.nvidia_nim:NvidiaNimAdapter",
    reference="https://docs.nvidia.com/nim/nemo-retriever/text-reranking",
    checked="2026-11-21",
    aliases=("nvidia", "nim"),
    base_url=HOSTED_URL,
    key_variables=("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
    base_url_variables=("NVIDIA_NIM_API_BASE",),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    options={"poll_url": "URL that is polled for the results of 202 responses."},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.LOGIT,
        max_documents=512,
        truncation_default=Truncation.END,
        source="docs.nvidia.com NIM 2.0; langchain-nvidia-ai-endpoints 1.5.0",
    ),
    models=dict.fromkeys(SLUGS, Capabilities(source="langchain-nvidia-ai-endpoints 1.5.0")),
    rules=IMAGE_MODELS,
    quirks=(
        "Images must be data: URLs; only the nemotron-rerank-vl models accept them.",
        "Scores are raw logits, about -12 to 12.",
        "Rejects top_n; results are cut by rerankd.",
        "Write nvidia_nim/ranking/MODEL for the /v1/ranking route of the hosted service.",
        "The hosted service may return 202 and is then polled once per second.",
    ),
    list_route="GET /v1/models (self-hosted)",
)
