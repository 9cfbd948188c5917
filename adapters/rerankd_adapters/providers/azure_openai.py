"""Azure OpenAI, by its API v1.

Reference: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle. Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Authentication, Provider, Scheme, header_key
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi
from rerankd_adapters.providers.openai import OPENAI_TRAITS

AZURE_OPENAI = Provider(
    name="azure_openai",
    title="Azure OpenAI",
    reference="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    checked="2026-11-29",
    key_variables=("AZURE_OPENAI_API_KEY",),
    base_url_variables=("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_BASE"),
    option_variables={
        "tenant_id": ("AZURE_TENANT_ID",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
    },
    options={
        **CHAT_OPTIONS,
        "tenant_id": "Entra tenant; used with client_id and client_secret instead of a key.",
        "client_id": "Entra application.",
        "client_secret": "Secret of the Entra application.",
        "token_url": "Token endpoint of Entra, for national clouds.",
    },
    authentication=(
        header_key("api-key"),
        Authentication(scheme=Scheme.ENTRA, scope="https://cognitiveservices.azure.com/.default"),
    ),
    key_is_required=False,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        checked="2026-11-29",
        path="/openai/v1/chat/completions",
        max_tokens="max_completion_tokens",
        traits=OPENAI_TRAITS,
        quirks=(
            "The model is the name of the deployment; name it after the model, so that its limits are known.",
            "Set the base URL of the resource, such as https://NAME.openai.azure.com.",
            "Text that Azure's filter refuses is a 400 with the code content_filter.",
        ),
    ),
)
