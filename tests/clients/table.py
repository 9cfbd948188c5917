"""The clients that are run: program, environment and what each check must come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NODE = "node"


@dataclass(frozen=True)
class Client:
    """One client as it is run.

    Attributes:
        name: As the table in `docs/clients.md` has it.
        package: What its registry calls it.
        environment: The lock file's name, or `node`.
        program: File in `programs/`.
        checks: Checks that end in an answer.
        raises: Checks that end in an exception, with its class's name.
        given: Further arguments of the program.
    """

    name: str
    package: str
    environment: str
    program: str
    checks: tuple[str, ...]
    raises: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version that the environment pins."""
        if self.environment == NODE:
            pinned = re.search(rf'"{self.package}": "([^"]+)"', (HERE / "node" / "package.json").read_text())
        else:
            lock = (HERE / f"{self.environment}.lock").read_text()
            pinned = re.search(rf"^{self.package}==(\S+)", lock, re.MULTILINE)
        assert pinned is not None, self.package
        return pinned[1]


def _errors(unknown: str, bad: str, limited: str) -> dict[str, str]:
    return {"unknown_model": unknown, "bad_request": bad, "limited": limited}


_STATUS_ERRORS = _errors("NotFoundError", "BadRequestError", "RateLimitError")
_COHERE_ERRORS = _errors("NotFoundError", "BadRequestError", "TooManyRequestsError")
_WRITTEN_FOR_COHERE = ("strings", "top_n", "recovers")
_LITELLM = (
    ("cohere", "", "rerank-v3.5"),
    ("jina_ai", "", "jina-reranker-v2-base-multilingual"),
    ("infinity", "/infinity", "bge-reranker-v2-m3"),
    ("hosted_vllm", "", "bge-reranker-v2-m3"),
    ("together_ai", "", "Salesforce/Llama-Rank-v1"),
    ("litellm_proxy", "", "rerank-v3.5"),
    ("voyage", "", "rerank-2.5"),
    ("huggingface", "", "any"),
)


def _litellm(provider: str, path: str, model: str) -> Client:
    takes_model = provider != "huggingface"
    raises = _STATUS_ERRORS if takes_model else {"bad_request": "BadRequestError"}
    given = {"provider": provider, "path": path, "model": model, "takes_model": takes_model}
    checks = ("strings", "top_n", "documents", "asynchronous")
    return Client(f"litellm `{provider}/`", "litellm", "litellm", "litellm_sdk.py", checks, raises, given)


PYTHON = (
    Client(
        "cohere `ClientV2`, `AsyncClientV2`",
        "cohere",
        "sdks",
        "cohere_v2.py",
        (*_WRITTEN_FOR_COHERE, "options", "asynchronous", "versioned_base", "models"),
        _COHERE_ERRORS,
    ),
    Client(
        "cohere `Client`, `AsyncClient`",
        "cohere",
        "sdks",
        "cohere_v1.py",
        (*_WRITTEN_FOR_COHERE, "objects", "rank_fields", "documents", "default_model", "asynchronous"),
        _COHERE_ERRORS,
    ),
    Client(
        "voyageai",
        "voyageai",
        "sdks",
        "voyageai_sdk.py",
        ("strings", "top_n", "asynchronous", "recovers"),
        _errors("InvalidRequestError", "InvalidRequestError", "RateLimitError"),
    ),
    Client(
        "mixedbread",
        "mixedbread",
        "sdks",
        "mixedbread_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _STATUS_ERRORS,
    ),
    Client(
        "together",
        "together",
        "sdks",
        "together_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _STATUS_ERRORS,
    ),
    Client(
        "pinecone `inference.rerank`",
        "pinecone",
        "sdks",
        "pinecone_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _errors("NotFoundError", "ApiError", "RateLimitError"),
    ),
    Client(
        "haystack `CohereRanker`",
        "cohere-haystack",
        "sdks",
        "haystack_cohere.py",
        (*_WRITTEN_FOR_COHERE, "empty_document", "asynchronous"),
        _COHERE_ERRORS,
    ),
    Client(
        "haystack `HuggingFaceTEIRanker`",
        "huggingface-api-haystack",
        "sdks",
        "haystack_tei.py",
        ("strings", "top_n", "truncation", "raw_scores", "asynchronous"),
        {"bad_request": "RuntimeError"},
    ),
    *(_litellm(*given) for given in _LITELLM),
    Client(
        "langchain `CohereRerank`",
        "langchain-cohere",
        "langchain",
        "langchain_cohere_rerank.py",
        (*_WRITTEN_FOR_COHERE, "documents", "rank_fields", "asynchronous"),
        _COHERE_ERRORS,
    ),
    Client(
        "langchain `NVIDIARerank`",
        "langchain-nvidia-ai-endpoints",
        "langchain",
        "langchain_nvidia_rerank.py",
        ("logits", "top_n", "truncation", "batches", "asynchronous", "models"),
        _errors("Exception", "Exception", "Exception"),
        {"model": "nvidia/llama-nemotron-rerank-1b-v2"},
    ),
    Client(
        "llama-index `CohereRerank`",
        "llama-index-postprocessor-cohere-rerank",
        "llama_index",
        "llama_index_cohere.py",
        _WRITTEN_FOR_COHERE,
        _COHERE_ERRORS,
    ),
    Client(
        "llama-index `TextEmbeddingInference`",
        "llama-index-postprocessor-tei-rerank",
        "llama_index",
        "llama_index_tei.py",
        ("strings", "bearer", "top_n"),
        {"bad_request": "AssertionError"},
    ),
)
JAVASCRIPT = (
    Client(
        "cohere-ai `CohereClientV2`",
        "cohere-ai",
        NODE,
        "cohere_ai_v2.mjs",
        (*_WRITTEN_FOR_COHERE, "options", "models"),
        _COHERE_ERRORS,
    ),
    Client(
        "cohere-ai `CohereClient`",
        "cohere-ai",
        NODE,
        "cohere_ai_v1.mjs",
        (*_WRITTEN_FOR_COHERE, "objects", "rank_fields", "documents", "key"),
        _COHERE_ERRORS,
    ),
    Client(
        "ai with `createCohere`",
        "@ai-sdk/cohere",
        NODE,
        "ai_sdk_cohere.mjs",
        (*_WRITTEN_FOR_COHERE, "objects_as_json"),
        _errors("AI_APICallError", "AI_APICallError", "AI_APICallError"),
    ),
    Client(
        "LangChain.js `CohereRerank`",
        "@langchain/cohere",
        NODE,
        "langchain_cohere_rerank.mjs",
        (*_WRITTEN_FOR_COHERE, "documents"),
        _COHERE_ERRORS,
    ),
    Client(
        "voyageai (npm)",
        "voyageai",
        NODE,
        "voyageai_npm.mjs",
        (*_WRITTEN_FOR_COHERE, "documents"),
        _errors("VoyageAIError", "VoyageAIError", "VoyageAIError"),
    ),
)
CLIENTS = PYTHON + JAVASCRIPT
