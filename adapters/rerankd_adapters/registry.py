"""Registry of providers: a table of built-in ones, and entry points of other packages.

A package registers a provider with an entry point in group `rerankd.adapters` that refers to its `Provider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from rerankd_adapters.chat.adapter import ChatAdapter, NoRerankAdapter
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.http import HttpAdapter
from rerankd_adapters.parameter import Parameter
from rerankd_adapters.provider import Provider

ENTRY_POINT_GROUP: Final = "rerankd.adapters"

BUILT_IN: Final[Mapping[str, str]] = {
    "anthropic": "rerankd_adapters.providers.anthropic:ANTHROPIC",
    "azure_ai": "rerankd_adapters.providers.azure_ai:AZURE_AI",
    "azure_openai": "rerankd_adapters.providers.azure_openai:AZURE_OPENAI",
    "bedrock": "rerankd_adapters.providers.bedrock:BEDROCK",
    "bedrock_invoke": "rerankd_adapters.providers.aws_cohere:BEDROCK_INVOKE",
    "cloudflare": "rerankd_adapters.providers.cloudflare:CLOUDFLARE",
    "cohere": "rerankd_adapters.providers.cohere:COHERE",
    "contextual": "rerankd_adapters.providers.contextual:CONTEXTUAL",
    "dashscope": "rerankd_adapters.providers.dashscope:DASHSCOPE",
    "deepinfra": "rerankd_adapters.providers.deepinfra:DEEPINFRA",
    "deepseek": "rerankd_adapters.providers.deepseek:DEEPSEEK",
    "elasticsearch": "rerankd_adapters.providers.elasticsearch:ELASTICSEARCH",
    "fireworks": "rerankd_adapters.providers.fireworks:FIREWORKS",
    "gemini": "rerankd_adapters.providers.gemini:GEMINI",
    "generic": "rerankd_adapters.providers.generic:GENERIC",
    "groq": "rerankd_adapters.providers.groq:GROQ",
    "infinity": "rerankd_adapters.providers.infinity:INFINITY",
    "isaacus": "rerankd_adapters.providers.isaacus:ISAACUS",
    "jina": "rerankd_adapters.providers.jina:JINA",
    "kserve": "rerankd_adapters.providers.kserve:KSERVE",
    "litellm_proxy": "rerankd_adapters.providers.litellm_proxy:LITELLM_PROXY",
    "llama_cpp": "rerankd_adapters.providers.llama_cpp:LLAMA_CPP",
    "localai": "rerankd_adapters.providers.localai:LOCALAI",
    "mistral": "rerankd_adapters.providers.mistral:MISTRAL",
    "mixedbread": "rerankd_adapters.providers.mixedbread:MIXEDBREAD",
    "nebius": "rerankd_adapters.providers.nebius:NEBIUS",
    "novita": "rerankd_adapters.providers.novita:NOVITA",
    "nvidia_nim": "rerankd_adapters.providers.nvidia_nim:NVIDIA_NIM",
    "oci": "rerankd_adapters.providers.oci:OCI",
    "ollama": "rerankd_adapters.providers.ollama:OLLAMA",
    "openai": "rerankd_adapters.providers.openai:OPENAI",
    "openai_compatible": "rerankd_adapters.providers.openai:OPENAI_COMPATIBLE",
    "openrouter": "rerankd_adapters.providers.openrouter:OPENROUTER",
    "opper": "rerankd_adapters.providers.opper:OPPER",
    "ovms": "rerankd_adapters.providers.ovms:OVMS",
    "pinecone": "rerankd_adapters.providers.pinecone:PINECONE",
    "prime": "rerankd_adapters.providers.prime:PRIME",
    "qianfan": "rerankd_adapters.providers.qianfan:QIANFAN",
    "sagemaker": "rerankd_adapters.providers.aws_cohere:SAGEMAKER",
    "scaleway": "rerankd_adapters.providers.scaleway:SCALEWAY",
    "sglang": "rerankd_adapters.providers.sglang:SGLANG",
    "siliconflow": "rerankd_adapters.providers.siliconflow:SILICONFLOW",
    "tei": "rerankd_adapters.providers.tei:TEI",
    "tei_grpc": "rerankd_adapters.providers.tei_grpc:TEI_GRPC",
    "together": "rerankd_adapters.providers.together:TOGETHER",
    "vertex": "rerankd_adapters.providers.vertex:VERTEX",
    "vertex_grpc": "rerankd_adapters.providers.vertex_grpc:VERTEX_GRPC",
    "vllm": "rerankd_adapters.providers.vllm:VLLM",
    "volcengine": "rerankd_adapters.providers.volcengine:VOLCENGINE",
    "voyage": "rerankd_adapters.providers.voyage:VOYAGE",
    "watsonx": "rerankd_adapters.providers.watsonx:WATSONX",
    "xinference": "rerankd_adapters.providers.xinference:XINFERENCE",
    "zeroentropy": "rerankd_adapters.providers.zeroentropy:ZEROENTROPY",
    "zhipu": "rerankd_adapters.providers.zhipu:ZHIPU",
}
"""Provider name: `module:NAME` of its declaration."""


@cache
def provider_names() -> tuple[str, ...]:
    """List the names of the installed providers, without aliases and broken providers."""
    return tuple(sorted({*BUILT_IN, *_third_party()} - broken_providers().keys()))


@cache
def broken_providers() -> Mapping[str, str]:
    """Return third-party providers that cannot be loaded: name to reason."""
    problems = {name: _read(target) for name, target in _third_party().items() if name not in BUILT_IN}
    return {name: problem for name, problem in problems.items() if isinstance(problem, str)}


def find_provider(name: str) -> Provider | None:
    """Return the provider with a name or alias; `None` if there is none or it is broken. Keeps no unknown name."""
    if name in BUILT_IN or name in _third_party():
        return _declaration(name)
    canonical = _aliases().get(name)
    return None if canonical is None else _declaration(canonical)


@cache
def _declaration(name: str) -> Provider | None:
    """Import the declaration of an installed provider; `None` if it is broken."""
    provider = _load(BUILT_IN[name]) if name in BUILT_IN else _read(_third_party()[name])
    return provider if isinstance(provider, Provider) else None


@cache
def parameter_owners() -> Mapping[str, tuple[str, ...]]:
    """Return the own parameters of all providers: name to the titles of those that have it."""
    owners: dict[str, list[str]] = {}
    for provider in filter(None, map(find_provider, provider_names())):
        for name in provider.parameters or ():
            owners.setdefault(name, []).append(provider.title)
    return {name: tuple(titles) for name, titles in owners.items()}


@cache
def contract_parameters() -> Mapping[str, Parameter]:
    """Return the own parameters that are other names of the contract's fields, by name.

    They mean the same for every provider, because rerankd itself implements these fields.
    """
    providers = filter(None, map(find_provider, provider_names()))
    return {
        name: parameter
        for provider in providers
        for name, parameter in (provider.parameters or {}).items()
        if parameter.field
    }


def open_adapter(provider: Provider, options: Mapping[str, object] | None = None) -> HttpAdapter:
    """Import a provider's adapter and create an instance with `options`.

    Raises:
        AdapterError: `REJECTED` when it cannot be imported or an option is invalid.
    """
    if not provider.adapter:
        return NoRerankAdapter(provider, options)
    try:
        adapter_class = _load(provider.adapter)
    except Exception as error:
        raise AdapterError(AdapterErrorKind.REJECTED, _unloadable(provider.adapter, error)) from error
    adapter = adapter_class(provider, options)
    if not isinstance(adapter, HttpAdapter):
        raise TypeError(f"{provider.adapter} is not an HttpAdapter")
    return adapter


def open_chat_adapter(provider: Provider, options: Mapping[str, object] | None = None) -> ChatAdapter:
    """Import a provider's chat adapter and create an instance with `options`.

    Raises:
        AdapterError: `UNSUPPORTED` when there is none; `REJECTED` when it cannot be imported or an option is invalid.
    """
    if provider.chat is None:
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"provider {provider.name} has no chat models")
    try:
        adapter_class = _load(provider.chat.adapter)
    except Exception as error:
        raise AdapterError(AdapterErrorKind.REJECTED, _unloadable(provider.chat.adapter, error)) from error
    adapter = adapter_class(provider, options)
    if not isinstance(adapter, ChatAdapter):
        raise TypeError(f"{provider.chat.adapter} is not a ChatAdapter")
    return adapter


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _read(target: str) -> Provider | str:
    """Import a declaration; return the reason if it fails. Third-party packages may raise anything."""
    try:
        provider = _load(target)
    except Exception as error:  # a package of somebody else, which may raise anything
        return _unloadable(target, error)
    return provider if isinstance(provider, Provider) else f"{target} is not a Provider"


def _unloadable(target: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{target} cannot be imported: there is no module {error.name}"
    return f"{target} cannot be imported: {type(error).__name__}"


@cache
def _third_party() -> Mapping[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


@cache
def _aliases() -> Mapping[str, str]:
    providers = (find_provider(name) for name in provider_names())
    return {alias: provider.name for provider in providers if provider for alias in provider.aliases}
