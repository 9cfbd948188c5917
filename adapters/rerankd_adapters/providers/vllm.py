"""vLLM's rerank route.

Reference: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (source of 0.33.0). Facts
of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    Capabilities,
    Endpoint,
    Exchange,
    Provider,
    ProviderCall,
    Scoring,
    Truncation,
)
from rerankd_adapters.chat_api import CHAT_OPTIONS
from rerankd_adapters.dialect import NOT_SERVED, Wire
from rerankd_adapters.documents import content_parts
from rerankd_adapters.listing import ListingDialect, is_name, read_limit
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.parameter import Kind, Parameter, flag, mapping, text, whole
from rerankd_adapters.providers.vllm_chat import VLLM_CHAT
from rerankd_adapters.providers.vllm_score import VllmScoreAdapter


class VllmAdapter(ListingDialect):
    """Uses `/v1/rerank`, which `--api-key` protects, `/rerank` on older servers, or `/v1/score` without either."""

    wire = Wire(
        old_path="/rerank",
        takes_images=True,
        takes_query_images=True,
        truncation={
            Truncation.END: {"truncate_prompt_tokens": -1, "truncation_side": "right"},
            Truncation.START: {"truncate_prompt_tokens": -1, "truncation_side": "left"},
            Truncation.NONE: {"truncate_prompt_tokens": None},
        },
        max_tokens_per_doc="max_tokens_per_doc",
        instruction="instruction",
        priority="priority",
    )

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        self._score_route = VllmScoreAdapter(provider, options)
        self._uses_score_route = False

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Send the call to a rerank route; to the score route if there is none, and from then on if that works.

        Raises:
            AdapterError: As `build` and `parse`; the rerank route's error if there is no score route either.
        """
        if self._uses_score_route:
            return (yield from self._score_route.exchange(call, endpoint))
        try:
            return (yield from super().exchange(call, endpoint))
        except AdapterError as error:
            if self.options.get("path") or not _is_route_missing(error):
                raise
            missing = error
        try:
            reply = yield from self._score_route.exchange(call, endpoint)
        except AdapterError as error:
            if error.status in NOT_SERVED:
                raise missing from None
            self._uses_score_route = True
            raise
        self._uses_score_route = True
        return reply

    def query_of(self, call: ProviderCall) -> object:
        """Return the text, or content parts for a query with an image; the API has a field for the instruction."""
        return {"content": content_parts(call.query, call.query_image)} if call.query_image else call.query

    def documents_of(self, call: ProviderCall) -> object:
        """Return texts, or lists of parts for documents with images, image first."""
        if call.images is None:
            return super().documents_of(call)
        pairs = zip(call.documents, call.images, strict=True)
        return [text if image is None else {"content": content_parts(text, image)} for text, image in pairs]

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return the context window, and the known capabilities of the model behind a served name."""
        root = entry.get("root")
        known = self.capabilities(model)
        facts = self.reported_capabilities()
        if is_name(root) and known.scoring is Scoring.UNKNOWN:
            known = self.capabilities(str(root))
            facts = replace(facts, scoring=known.scoring, score_space=known.score_space)
        window = read_limit(entry, "max_model_len")
        if known.scoring is Scoring.LISTWISE:  # it reads all documents in one window
            return replace(facts, max_total_tokens=window)
        return replace(facts, max_tokens_per_document=window)


def _is_route_missing(error: AdapterError) -> bool:
    """Whether a server has no such route; for an unknown model it answers 404 too, but names the model."""
    return error.status in (405, 501) or (error.status == 404 and error.message.endswith(("404", "Not Found")))


_SOURCE = "source of vllm 0.33.0"
_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "truncate_prompt_tokens": whole(_SOURCE, -1, is_nullable=True),
    "truncation_side": text(_SOURCE, "left", "right", is_nullable=True),
    "max_tokens_per_query": whole(_SOURCE, 0),
    "use_activation": flag(_SOURCE, is_nullable=True, raw_when=False),
    "chat_template_kwargs": mapping(_SOURCE, is_nullable=True),
    "mm_processor_kwargs": mapping(_SOURCE, is_nullable=True),
    "cache_salt": text(_SOURCE, is_nullable=True),
    "request_id": text(_SOURCE),
    "padding": Parameter(kinds=(Kind.BOOLEAN, Kind.STRING), source=_SOURCE),
    "user": text(_SOURCE, is_nullable=True),
}

VLLM = Provider(
    name="vllm",
    title="vLLM",
    adapter="rerankd_adapters.providers.vllm:VllmAdapter",
    reference="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    checked="2026-11-21",
    aliases=("hosted_vllm",),
    key_variables=("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
    base_url_variables=("VLLM_API_BASE", "HOSTED_VLLM_API_BASE"),
    parameters=_PARAMETERS,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        truncation_default=Truncation.END,
        takes_instruction=True,
        source=_SOURCE,
    ),
    rules=IMAGE_MODELS,
    options=CHAT_OPTIONS,
    chat=VLLM_CHAT,
    quirks=(
        "Scores are probabilities for cross-encoders, cosines for bi-encoders, sums for late interaction.",
        "A priority other than 0 is an error unless the server schedules by priority.",
        "Original Qwen3-Reranker checkpoints need --chat-template, or their scores are inaccurate.",
        "503 means that the queue is full.",
        "Servers without a rerank route are asked by POST /v1/score, without instruction and max_tokens_per_doc.",
        "GET /v1/models reports each model's window, and the model behind a --served-model-name.",
    ),
    list_route="GET /v1/models",
)
