"""NVIDIA NIM: the retrieval route, and `/v1/ranking` of self-hosted containers.

Reference: https://docs.nvidia.com/nim/nemo-retriever/text-reranking (NIM 2.0, langchain-nvidia-ai-endpoints
1.5.0). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from rerankd_adapters.dialect import NOT_SERVED, JsonDialect, Wire
from rerankd_adapters.documents import image_documents, require_inline_images
from rerankd_adapters.failure import error_text
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.parameter import text
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
_RETRIEVAL: Final = "/v1/retrieval/"
_ROUTES = ("/ranking", "/reranking")
_NO_ROUTE: Final = ("", "Not Found", "404 page not found")
"""Texts of a 404 for an unknown route; for an unknown model the server names it."""
_MOST_REMEMBERED: Final = 256
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class NvidiaNimAdapter(JsonDialect):
    """Uses the retrieval route, or `/v1/ranking` for `ranking/MODEL` and for servers that have only that one."""

    wire = Wire(
        path="/v1/ranking",
        takes_images=True,
        documents="passages",
        top_n=None,
        truncation={Truncation.END: {"truncate": "END"}, Truncation.NONE: {"truncate": "NONE"}},
        results=("rankings",),
        score="logit",
    )

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        self._ranking_models: set[str] = set()

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request for the route selected by base URL and model name."""
        fixed = self._fixed_path(call, endpoint)
        if fixed is None:
            path = retrieval_path(call.model, vendor="nvidia" if is_hosted(endpoint) else "")
            return post_json(endpoint, path, self.body_of(call), names_model=True)
        return post_json(endpoint, fixed, self.body_of(call))

    def _fixed_path(self, call: ProviderCall, endpoint: Endpoint) -> str | None:
        """Return the path if it is not the retrieval route: empty for a base URL that is a route itself."""
        if path := self.options.get("path"):
            return str(path)
        base = urlsplit(endpoint.base_url).path.rstrip("/")
        if base.endswith(_ROUTES) or "/retrieval/" in f"{base}/":
            return ""
        is_ranking = call.model.startswith(_RANKING) or call.model in self._ranking_models
        return self.wire.path if is_ranking else None

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

        A server of one's own that has no retrieval route is asked by `/v1/ranking`, from then on at once.

        Raises:
            AdapterError: As `build` and `parse`; `UNAVAILABLE` when the result does not arrive.
        """
        response = yield self.build(call, endpoint)
        if response.status in NOT_SERVED and not is_hosted(endpoint) and self._fixed_path(call, endpoint) is None:
            second = yield post_json(endpoint, self.wire.path, self.body_of(call))
            if second.status not in NOT_SERVED:
                self._remember(call.model)
            if second.status not in NOT_SERVED or error_text(response) in _NO_ROUTE:
                response = second
        poll_url = self.options.get("poll_url") or (POLL_URL if is_hosted(endpoint) else None)
        for _ in range(MAX_POLLS):
            request_id = response.headers.get("nvcf-reqid", "")
            if response.status != 202 or not poll_url or not _REQUEST_ID.fullmatch(request_id):
                return self.parse(call, response)
            url = f"{poll_url}/{request_id}"
            response = yield HttpRequest(method="GET", url=url, headers=endpoint.headers, delay_s=POLL_EVERY_S)
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, f"no result after {MAX_POLLS} polls", status=202)

    def _remember(self, model: str) -> None:
        if len(self._ranking_models) >= _MOST_REMEMBERED:
            self._ranking_models.clear()
        self._ranking_models.add(model)


def is_hosted(endpoint: Endpoint) -> bool:
    """Whether the endpoint is NVIDIA's hosted service."""
    return urlsplit(endpoint.base_url).hostname == urlsplit(HOSTED_URL).hostname


def model_of(name: str) -> str:
    """Return the model name for the body, without `ranking/` and not as path segment."""
    bare = name.removeprefix(_RANKING)
    return _MODEL_OF_SLUG.get(bare.rpartition("/")[2], bare)


def retrieval_path(name: str, vendor: str = "nvidia") -> str:
    """Return the path of a model's retrieval route; dots of names not in `SLUGS` become underscores.

    Args:
        name: Model.
        vendor: First segment for names that have none.
    """
    model = model_of(name)
    if model in SLUGS:
        segments = f"nvidia/{SLUGS[model]}".rstrip("/")
    else:
        segments = path_segments(f"{vendor}/{model}" if vendor and "/" not in model else model).replace(".", "_")
    return f"{_RETRIEVAL}{segments}/reranking"


NVIDIA_NIM = Provider(
    name="nvidia_nim",
    title="NVIDIA NIM",
    adapter="rerankd_adapters.providers.nvidia_nim:NvidiaNimAdapter",
    reference="https://docs.nvidia.com/nim/nemo-retriever/text-reranking",
    checked="2026-11-21",
    aliases=("nvidia", "nim"),
    base_url=HOSTED_URL,
    key_variables=("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY"),
    base_url_variables=("NVIDIA_NIM_API_BASE",),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    parameters={"truncate": text("docs.nvidia.com NIM 2.0", "NONE", "END")},
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
        "Calls go to BASE/v1/retrieval/MODEL/reranking; nvidia_nim/ranking/MODEL selects BASE/v1/ranking.",
        "A base URL of your own whose retrieval route answers 404, 405 or 501 is asked by /v1/ranking, remembered for "
        "each model.",
        "A base URL that contains /retrieval/, or ends in a route, is used as it is.",
        "The hosted service may return 202 and is then polled once per second.",
    ),
    list_route="GET /v1/models (self-hosted)",
)
