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
        point: The line of code that sends the client to a server at `URL`.
        given: Further arguments of the program.
        is_mute: Whether its exceptions leave the server's message out.
    """

    name: str
    package: str
    environment: str
    program: str
    checks: tuple[str, ...]
    raises: Mapping[str, str]
    point: str
    given: Mapping[str, Any] = field(default_factory=dict)
    is_mute: bool = False

    @property
    def row(self) -> str:
        """This client's row of the table in `docs/clients.md`."""
        runs = ", ".join([*self.checks, *self.raises]).replace("_", " ")
        return f"| {self.name} | {self.package} {self.version} | `{self.point}` | {runs} |"

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
_USUAL = ("strings", "top_n", "recovers")
_LLAMA_INDEX = (
    ("JinaRerank", "jinaai", {"kind": "jina", "path": "/v1", "model": "jina-reranker-v2-base-multilingual"}),
    ("NVIDIARerank", "nvidia", {"kind": "nvidia", "path": "/v1", "model": "nvidia/llama-nemotron-rerank-1b-v2"}),
    ("SiliconFlowRerank", "siliconflow", {"kind": "siliconflow", "path": "/v1/rerank", "model": "bge-reranker-v2-m3"}),
)
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
    raises = _STATUS_ERRORS if takes_model else {"bad_request": "APIError"}
    given = {"provider": provider, "path": path, "model": model, "takes_model": takes_model}
    checks = ("strings", "top_n", "documents", "asynchronous", *(("reranker",) if takes_model else ()))
    point = f'litellm.rerank("{provider}/{model}", ..., api_base="URL{path}", api_key=KEY)'
    return Client(f"litellm `{provider}/`", "litellm", "litellm", "litellm_sdk.py", checks, raises, point, given)


def _llama_index(kind: str, package: str, given: Mapping[str, str]) -> Client:
    name, full = f"llama-index `{kind}`", f"llama-index-postprocessor-{package}-rerank"
    point = f'{kind}(api_key=KEY, base_url="URL{given["path"]}", model=MODEL)'
    if kind == "NVIDIARerank":
        raises = {"unknown_model": "ValueError", "bad_request": "HTTPStatusError"}
        return Client(
            name, full, "llama_index", "llama_index_others.py", ("logits", "top_n"), raises, point, given, True
        )
    raises = _errors("RuntimeError", "RuntimeError", "RuntimeError")
    return Client(name, full, "llama_index", "llama_index_others.py", ("strings", "top_n"), raises, point, given)


PYTHON = (
    Client(
        "cohere `ClientV2`, `AsyncClientV2`",
        "cohere",
        "sdks",
        "cohere_v2.py",
        (*_USUAL, "options", "asynchronous", "versioned_base", "models", "reranker"),
        _COHERE_ERRORS,
        'cohere.ClientV2(api_key=KEY, base_url="URL")',
    ),
    Client(
        "cohere `Client`, `AsyncClient`",
        "cohere",
        "sdks",
        "cohere_v1.py",
        (*_USUAL, "objects", "rank_fields", "documents", "default_model", "asynchronous", "reranker"),
        _COHERE_ERRORS,
        'cohere.Client(api_key=KEY, base_url="URL")',
    ),
    Client(
        "voyageai",
        "voyageai",
        "sdks",
        "voyageai_sdk.py",
        ("strings", "top_n", "asynchronous", "recovers"),
        _errors("InvalidRequestError", "InvalidRequestError", "RateLimitError"),
        'voyageai.Client(api_key=KEY, base_url="URL/v1")',
    ),
    Client(
        "mixedbread",
        "mixedbread",
        "sdks",
        "mixedbread_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _STATUS_ERRORS,
        'Mixedbread(api_key=KEY, base_url="URL")',
    ),
    Client(
        "together",
        "together",
        "sdks",
        "together_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _STATUS_ERRORS,
        'Together(api_key=KEY, base_url="URL")',
    ),
    Client(
        "pinecone `inference.rerank`",
        "pinecone",
        "sdks",
        "pinecone_sdk.py",
        ("strings", "objects", "rank_fields", "top_n", "documents", "asynchronous", "recovers"),
        _errors("NotFoundError", "ApiError", "RateLimitError"),
        'Pinecone(api_key=KEY, host="URL").inference',
    ),
    Client(
        "haystack `CohereRanker`",
        "cohere-haystack",
        "sdks",
        "haystack_cohere.py",
        (*_USUAL, "asynchronous", "empty_document"),
        _COHERE_ERRORS,
        'CohereRanker(model=MODEL, api_base_url="URL")',
    ),
    Client(
        "haystack `HuggingFaceTEIRanker`",
        "huggingface-api-haystack",
        "sdks",
        "haystack_tei.py",
        ("strings", "top_n", "truncation", "raw_scores", "asynchronous"),
        {"bad_request": "RuntimeError"},
        'HuggingFaceTEIRanker(url="URL")',
    ),
    *(_litellm(*given) for given in _LITELLM),
    Client(
        "langchain `CohereRerank`",
        "langchain-cohere",
        "langchain",
        "langchain_cohere_rerank.py",
        (*_USUAL, "documents", "rank_fields", "asynchronous"),
        _COHERE_ERRORS,
        'CohereRerank(cohere_api_key=KEY, base_url="URL", model=MODEL)',
    ),
    Client(
        "langchain `NVIDIARerank`",
        "langchain-nvidia-ai-endpoints",
        "langchain",
        "langchain_nvidia_rerank.py",
        ("logits", "top_n", "truncation", "batches", "asynchronous", "models"),
        _errors("Exception", "Exception", "Exception"),
        'NVIDIARerank(base_url="URL/v1", api_key=KEY, model=MODEL)',
        {"model": "nvidia/llama-nemotron-rerank-1b-v2"},
    ),
    Client(
        "llama-index `CohereRerank`",
        "llama-index-postprocessor-cohere-rerank",
        "llama_index",
        "llama_index_cohere.py",
        _USUAL,
        _COHERE_ERRORS,
        'CohereRerank(api_key=KEY, base_url="URL", model=MODEL)',
    ),
    Client(
        "llama-index `TextEmbeddingInference`",
        "llama-index-postprocessor-tei-rerank",
        "llama_index",
        "llama_index_tei.py",
        ("strings", "bearer", "top_n"),
        {"bad_request": "AssertionError"},
        'TextEmbeddingInference(base_url="URL", auth_token="Bearer " + KEY)',
    ),
    *(_llama_index(*given) for given in _LLAMA_INDEX),
    Client(
        "infinity-client",
        "infinity-client",
        "infinity",
        "infinity_sdk.py",
        ("strings", "raw_scores", "top_n", "documents", "asynchronous"),
        _errors("UnexpectedStatus", "UnexpectedStatus", "UnexpectedStatus"),
        'Client(base_url="URL")',
    ),
    Client(
        "haystack `JinaRanker`",
        "jina-haystack",
        "more",
        "haystack_jina.py",
        ("strings", "top_n"),
        _errors("RuntimeError", "RuntimeError", "RuntimeError"),
        'JinaRanker(model=MODEL, base_url="URL/v1/rerank")',
    ),
    Client(
        "haystack `NvidiaRanker`",
        "nvidia-haystack",
        "more",
        "haystack_nvidia.py",
        ("logits", "top_n"),
        _errors("ValueError", "ValueError", "ValueError"),
        'NvidiaRanker(model=MODEL, api_url="URL/v1")',
    ),
    Client(
        "langchain `VoyageAIRerank`",
        "langchain-voyageai",
        "more",
        "langchain_voyageai_rerank.py",
        ("documents", "top_n", "asynchronous"),
        _errors("InvalidRequestError", "InvalidRequestError", "RateLimitError"),
        'VoyageAIRerank(voyage_api_key=KEY, base_url="URL/v1", model=MODEL)',
    ),
    Client(
        "xinference-client",
        "xinference-client",
        "more",
        "xinference_sdk.py",
        ("strings", "top_n", "documents"),
        {"unknown_model": "RuntimeError", "bad_request": "RuntimeError"},
        'RESTfulClient("URL", api_key=KEY).get_model(MODEL)',
    ),
    Client(
        "openai `models`",
        "openai",
        "more",
        "openai_models.py",
        ("models", "model"),
        {"unknown_model": "NotFoundError"},
        'OpenAI(api_key=KEY, base_url="URL/v1").models',
        {"model": "local/ms-marco-minilm-l12-v2"},
    ),
    Client(
        "isaacus",
        "isaacus",
        "more",
        "isaacus_sdk.py",
        (*_USUAL, "asynchronous"),
        _STATUS_ERRORS,
        'Isaacus(api_key=KEY, base_url="URL/v1")',
    ),
    Client(
        "zeroentropy",
        "zeroentropy",
        "more",
        "zeroentropy_sdk.py",
        (*_USUAL, "asynchronous"),
        _STATUS_ERRORS,
        'ZeroEntropy(api_key=KEY, base_url="URL/v1")',
    ),
)
JAVASCRIPT = (
    Client(
        "cohere-ai `CohereClientV2`",
        "cohere-ai",
        NODE,
        "cohere_ai_v2.mjs",
        (*_USUAL, "options", "models"),
        _COHERE_ERRORS,
        'new CohereClientV2({ token: KEY, environment: "URL" })',
    ),
    Client(
        "cohere-ai `CohereClient`",
        "cohere-ai",
        NODE,
        "cohere_ai_v1.mjs",
        (*_USUAL, "objects", "rank_fields", "documents", "key"),
        _COHERE_ERRORS,
        'new CohereClient({ token: KEY, environment: "URL" })',
    ),
    Client(
        "ai with `createCohere`",
        "@ai-sdk/cohere",
        NODE,
        "ai_sdk_cohere.mjs",
        (*_USUAL, "objects_as_json"),
        _errors("AI_APICallError", "AI_APICallError", "AI_APICallError"),
        'createCohere({ apiKey: KEY, baseURL: "URL/v2" }).reranking(MODEL)',
    ),
    Client(
        "LangChain.js `CohereRerank`",
        "@langchain/cohere",
        NODE,
        "langchain_cohere_rerank.mjs",
        (*_USUAL, "documents"),
        _COHERE_ERRORS,
        'new CohereRerank({ client: new CohereClient({ token: KEY, environment: "URL" }), model: MODEL })',
    ),
    Client(
        "voyageai (npm)",
        "voyageai",
        NODE,
        "voyageai_npm.mjs",
        (*_USUAL, "documents"),
        _errors("VoyageAIError", "VoyageAIError", "VoyageAIError"),
        'new VoyageAIClient({ apiKey: KEY, environment: "URL/v1" })',
    ),
    Client(
        "ai with `createTogetherAI`",
        "@ai-sdk/togetherai",
        NODE,
        "ai_sdk_togetherai.mjs",
        _USUAL,
        _errors("AI_APICallError", "AI_APICallError", "AI_APICallError"),
        'createTogetherAI({ apiKey: KEY, baseURL: "URL/v1" }).rerankingModel(MODEL)',
    ),
    Client(
        "ai with `createVoyage`",
        "voyage-ai-provider",
        NODE,
        "ai_sdk_voyage.mjs",
        _USUAL,
        _errors("AI_APICallError", "AI_APICallError", "AI_APICallError"),
        'createVoyage({ apiKey: KEY, baseURL: "URL/v1" }).rerankingModel(MODEL)',
        is_mute=True,
    ),
    Client(
        "pinecone (npm) `inference.rerank`",
        "@pinecone-database/pinecone",
        NODE,
        "pinecone_npm.mjs",
        ("strings", "top_n", "documents"),
        _errors("PineconeNotFoundError", "PineconeBadRequestError", "PineconeUnmappedHttpError"),
        'new Pinecone({ apiKey: KEY, controllerHostUrl: "URL" }).inference',
        is_mute=True,
    ),
)
CLIENTS = PYTHON + JAVASCRIPT
