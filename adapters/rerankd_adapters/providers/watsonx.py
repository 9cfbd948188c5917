"""IBM watsonx.ai text rerank.

Reference: https://cloud.ibm.com/apidocs/watsonx-ai#text-rerank (ibm-watsonx-ai 1.8.1). Facts of 2026-11-21.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from rerankd_adapters.base import (
    BEARER,
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Capabilities,
    Provider,
    ProviderCall,
    Scheme,
    ScoreSpace,
    Scoring,
    Truncation,
    header_key,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.documents import refuse_images
from rerankd_adapters.parameter import whole

API_DATE: Final = "2024-03-13"
"""Default API version, as used by LiteLLM 1.109.1; the option `version` overrides it."""
_OWNERS: Final = ("project_id", "space_id")


class WatsonxAdapter(JsonDialect):
    """Sends a truncation length if the call or the model's window provides one."""

    wire = Wire(
        path="/ml/v1/text/rerank",
        model="model_id",
        documents="inputs",
        max_tokens_per_doc="truncate_input_tokens",
        score="score",
        answered_model=("model_id",),
        prompt_tokens=(("input_token_count",),),
        completion_tokens=(),
    )

    def path_of(self, call: ProviderCall) -> str:
        """Return the path, with the API version as query parameter."""
        date = str(self.options.get("version") or API_DATE)
        return f"{self.wire.path}?version={quote(date, safe='')}"

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object, with the billed project or space.

        Raises:
            AdapterError: `UNSUPPORTED` for a truncation mode that the API does not have; `CREDENTIALS` without a
                project or space.
        """
        owner = next((name for name in _OWNERS if self.options.get(name)), None)
        if owner is None:
            message = "the watsonx project is unknown; set the option project_id or space_id"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
        refuse_images(call, self.provider.title)
        returned: dict[str, object] = {"inputs": False, "query": False}
        if call.top_n is not None:
            returned["top_n"] = min(call.top_n, len(call.documents))
        tokens = self._tokens_kept(call)
        return {
            "model_id": call.model,
            "query": self.query_of(call),
            "inputs": [{"text": text} for text in call.documents],
            owner: str(self.options[owner]),
            "parameters": {
                **({} if tokens is None else {"truncate_input_tokens": tokens}),
                "return_options": returned,
            },
        }

    def _tokens_kept(self, call: ProviderCall) -> int | None:
        own = call.options.get("truncate_input_tokens")
        if isinstance(own, int | float):
            return int(own)
        window = self.capabilities(call.model).max_tokens_per_document
        if call.truncation is Truncation.START:
            fault = "watsonx cannot cut the start of documents off"
        elif call.max_tokens_per_doc is not None:
            # more than the model's window is an error of the whole call
            return min(call.max_tokens_per_doc, window or call.max_tokens_per_doc)
        elif call.truncation is Truncation.END and window is None:
            fault = "watsonx must be told how many tokens to keep; set max_tokens_per_doc"
        else:
            return None if call.truncation is Truncation.NONE else window
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, fault, field="truncation")


WATSONX = Provider(
    name="watsonx",
    title="IBM watsonx.ai",
    adapter="rerankd_adapters.providers.watsonx:WatsonxAdapter",
    reference="https://cloud.ibm.com/apidocs/watsonx-ai#text-rerank",
    checked="2026-11-21",
    aliases=("watsonx_text",),
    base_url="https://us-south.ml.cloud.ibm.com",
    key_variables=("WATSONX_APIKEY", "WATSONX_API_KEY", "WX_API_KEY"),
    base_url_variables=("WATSONX_API_BASE", "WATSONX_URL", "WX_URL"),
    option_variables={
        "project_id": ("WATSONX_PROJECT_ID", "WX_PROJECT_ID"),
        "space_id": ("WATSONX_SPACE_ID", "WATSONX_DEPLOYMENT_SPACE_ID", "WX_SPACE_ID"),
        "version": ("WATSONX_API_VERSION",),
        "token_url": ("WATSONX_IAM_URL",),
    },
    options={
        "project_id": "Project that is billed; it or space_id is required.",
        "space_id": "Deployment space that is billed.",
        "version": f"Date of the API's version; {API_DATE} unless set.",
        "authentication": '"ibm-iam" (default: the key is exchanged for a token), "zenapikey" or "bearer" (a token).',
        "token_url": "Token endpoint of IAM.",
    },
    parameters={"truncate_input_tokens": whole("ibm-watsonx-ai 1.8.1", 1)},
    authentication=(
        Authentication(scheme=Scheme.IBM_IAM),
        header_key("authorization", prefix="ZenApiKey "),
        BEARER,
    ),
    capabilities=Capabilities(
        billing_unit="token", source="ibm-watsonx-ai 1.8.1; IBM's watsonx-ai-java-sdk documentation"
    ),
    models={
        "cross-encoder/ms-marco-minilm-l-12-v2": Capabilities(
            scoring=Scoring.POINTWISE,
            score_space=ScoreSpace.LOGIT,
            max_tokens_per_document=512,
            source="IBM's watsonx-ai-java-sdk documentation; huggingface.co/cross-encoder",
        )
    },
    quirks=(
        "Documents are truncated only if the number of tokens to keep is sent: max_tokens_per_doc, or the "
        "model's window if known.",
        "On Cloud Pak for Data the key is a base64 ZenApiKey; set the option authentication to zenapikey.",
        "Scores of cross-encoders are raw logits.",
    ),
)
