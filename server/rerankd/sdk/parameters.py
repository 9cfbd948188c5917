"""Converts the parameters of a call, including those of `litellm.rerank`, to a contract request."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Final, TypedDict

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.suggestions import closest
from rerankd.gateway.decode_errors import explain
from rerankd.gateway.translation.documents import as_documents
from rerankd.http.transport_settings import TlsSettings
from rerankd_adapters.registry import contract_parameters, find_provider, parameter_owners

DocumentInput = str | messages.Document | Mapping[str, Any]
"""A text, or a mapping: either a document with the contract's keys, or structured content with arbitrary keys."""


class RerankOptions(TypedDict, total=False):
    """Parameters of a call besides model, query and documents. None means unset.

    Counterpart of `rerankd_client.RerankOptions`, with the names of `litellm.rerank` in addition. Other names are taken
    as `provider_options`, unless they look like a misspelling of a known one.
    """

    top_n: int | None
    """How many results to return, at least 1. Unset: all."""
    query_image: str | None
    """An image that the documents are compared with, as a `data:` or `https:` URL, beside or instead of `query`."""
    rank_fields: Sequence[str] | None
    """Names of the document fields that are scored, in this order."""
    return_documents: bool | None
    """Return each document with its result. Default True, as in litellm."""
    max_chunks_per_doc: int | None
    """Cut a long document into at most this many passages and score it by its best one."""
    max_tokens_per_doc: int | None
    """Score at most this many tokens of each document."""
    instruction: str | None
    """What "relevant" means for this query, for models that follow instructions."""
    truncation: str | bool | None
    """What to do with documents longer than the model's window: "none", "end" or "start"; as in Voyage's SDK, True for
    "end" and False for "none"."""
    score_threshold: float | None
    """Omit results with a lower relevance score."""
    fallbacks: Sequence[str] | None
    """Models to try, in this order, when the first fails."""
    priority: int | None
    """0 (default) to 999; lower is served first."""
    user: str | None
    """End user of the call, for the run log."""
    cache: str | None
    """How the pair-score cache is used: "bypass" or "no-store"."""
    documents_ranked: bool | None
    """The documents come in the order of an earlier stage, best first, which may then count."""
    include_details: bool | None
    """List each provider call in `extra_fields`."""
    provider_options: Mapping[str, Any] | None
    """Provider-specific options, by the provider's names."""
    timeout: float | str | None
    """Deadline in seconds, after which the call fails with `DEADLINE_EXCEEDED`. Unset: the provider's timeout only."""
    custom_llm_provider: str | None
    """Provider name, if `model` does not start with it."""
    api_key: str | None
    """Provider API key; overrides settings and environment."""
    api_base: str | None
    """Provider base URL; overrides settings and environment."""
    base_url: str | None
    """Same as `api_base`."""
    headers: Mapping[str, str] | None
    """Additional headers of requests to the provider."""
    tls: Mapping[str, Any] | None
    """TLS to the provider, such as `{"ca_file": "/etc/tei.pem"}`; overrides `providers.NAME.tls` field by field."""
    extra_headers: Mapping[str, str] | None
    """Same as `headers`; wins where both set a header."""


KNOWN: Final = frozenset(RerankOptions.__annotations__)
_OF_REQUEST: Final = KNOWN & set(messages.RerankRequest.__struct_fields__)
_REFUSED: Final[Mapping[str, str]] = {
    "client": "connections belong to the engine; transport in the settings says how they are made",
    "mock_response": "there are no mocked answers; local/bm25 answers without a key or a network",
    "model_list": "models and their fallbacks are settings; name the next ones with fallbacks",
    "stream": "an answer comes whole",
    "timeout_s": "did you mean timeout?",
}
"""Parameters of other libraries that raise `TypeError`, with the alternative to use."""
_LEFT_ASIDE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("num_retries", "max_retries"), "retries are set for the engine, not for a call"),
    "drop_params": "what a model cannot do is refused or warned of, parameter by parameter",
    **dict.fromkeys(("metadata", "litellm_metadata", "tags", "litellm_call_id", "litellm_logging_obj"), ""),
    **dict.fromkeys(("caching", "api_version", "model_info", "proxy_server_request", "no_log", "no-log"), ""),
}
"""Parameters of litellm that are ignored with a warning, with a reason if there is one."""
_CLEARLY_MEANT: Final = 0.85


@dataclass(frozen=True, slots=True)
class ProviderOverride:
    """Key, base URL and headers of one call that override the provider's settings."""

    provider: str
    """Provider name, as written before the slash."""
    api_key: str = field(repr=False)
    """Empty: the configured key."""
    api_base: str
    """Empty: the configured base URL."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Additional headers, ordered by name."""
    tls: tuple[tuple[str, str | bool], ...] = ()
    """Fields of `TlsSettings`, ordered by name."""


@dataclass(slots=True)
class CallPlan:
    """A call that is ready for the engine."""

    request: messages.RerankRequest
    documents: Sequence[DocumentInput]
    """As the caller gave them."""
    timeout_s: float | None
    """None: `limits.default_timeout_s` of the settings."""
    override: ProviderOverride | None
    """None: the provider's settings apply."""
    warnings: list[str]
    """Warnings about ignored parameters."""
    own_names: Collection[str]
    """Names in `provider_options` that were keyword arguments."""


def plan_call(model: str, query: str, documents: Iterable[DocumentInput], options: Mapping[str, Any]) -> CallPlan:
    """Build the request, timeout and provider override of a call.

    Raises:
        TypeError: A parameter does not exist or is not supported.
        ServiceError: `INVALID_REQUEST`: a value has the wrong type.
    """
    if isinstance(documents, str | Mapping):
        raise TypeError(f"documents must be a list of documents, not one {type(documents).__name__}")
    given = {name: value for name, value in options.items() if value is not None}
    warnings = [_left_aside(name) for name in given if _is_left_aside(name)]
    for name in ("provider_options", "headers", "extra_headers"):
        if not isinstance(given.get(name, {}), Mapping):
            raise TypeError(f"{name} must be a mapping, not {type(given[name]).__name__}")
    own = _extra(given)
    provider_options = {**given.pop("provider_options", {}), **own}
    model = _qualified(model, given.get("custom_llm_provider", ""))
    values = {name: _listed(value) for name, value in given.items() if name in _OF_REQUEST}
    if isinstance(truncation := values.get("truncation"), bool):
        values["truncation"] = "end" if truncation else "none"
    if not any(name in own and each.field == "return_documents" for name, each in contract_parameters().items()):
        values.setdefault("return_documents", True)
    if provider_options:
        values["provider_options"] = provider_options
    sent = list(documents)
    values |= {"model": model, "query": query, "documents": _documents(sent, values.get("rank_fields"))}
    try:
        request = msgspec.convert(values, messages.RerankRequest)
    except msgspec.ValidationError as error:
        raise explain(str(error), messages.RerankRequest, "the call") from None
    return CallPlan(request, sent, _timeout_s(given.get("timeout")), _access(model, given), warnings, tuple(own))


def _extra(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that go to the provider.

    Raises:
        TypeError: A name is unsupported or a likely misspelling.
    """
    extra = {name: value for name, value in given.items() if name not in KNOWN and not _is_left_aside(name)}
    for name in extra:
        if name in _REFUSED:
            raise TypeError(f"rerank does not take {name}: {_REFUSED[name]}")
        meant = None if name in parameter_owners() else closest(name, KNOWN)
        if meant and _is_typing_error(name, meant):
            hint = f"a provider's own parameter of that name goes into provider_options={{{name!r}: ...}}"
            raise TypeError(f"rerank has no parameter {name!r}; did you mean {meant!r}? {hint}")
    return extra


def _is_left_aside(name: str) -> bool:
    """Whether a name is litellm's alone; `metadata` is a parameter of Contextual AI too."""
    return name in _LEFT_ASIDE and name not in parameter_owners()


def _is_typing_error(name: str, meant: str) -> bool:
    return difflib.SequenceMatcher(None, name, meant).ratio() >= _CLEARLY_MEANT


def _left_aside(name: str) -> str:
    why = _LEFT_ASIDE[name]
    return f"{name} was ignored: {why}" if why else f"{name} was ignored"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _documents(sent: Sequence[Any], rank_fields: Any) -> list[Any]:
    """Read texts and mappings as over HTTP; `msgspec.convert` refuses what is neither."""
    if set(map(type, sent)) <= {str}:
        return list(sent)
    names = rank_fields if isinstance(rank_fields, list) else None
    read = as_documents([dict(item) if isinstance(item, Mapping) else "" for item in sent], names)
    return [made if isinstance(given, Mapping) else given for given, made in zip(sent, read, strict=True)]


def _qualified(model: str, provider: str) -> str:
    """Prefix the model with the provider's name unless it has that prefix."""
    if not isinstance(model, str):
        raise TypeError(f"model must be a str, not {type(model).__name__}")
    if not provider or model.partition("/")[0] == provider:
        return model
    declared, before = find_provider(provider), find_provider(model.partition("/")[0])
    if declared is not None and before is not None and declared.name == before.name and "/" in model:
        return model
    return f"{provider}/{model}"


def _timeout_s(timeout: Any) -> float | None:
    try:
        timeout_s = None if timeout is None else float(timeout)
    except (TypeError, ValueError):
        raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}") from None
    if timeout_s is not None and not timeout_s > 0:
        raise invalid_request([FieldViolation("timeout", f"timeout must be more than 0 seconds, was {timeout_s:g}")])
    return timeout_s


def _access(model: str, given: Mapping[str, Any]) -> ProviderOverride | None:
    """Return the call's provider override; None without one."""
    headers = {**given.get("headers", {}), **given.get("extra_headers", {})}
    api_key, api_base = given.get("api_key", ""), given.get("api_base") or given.get("base_url", "")
    tls = _tls(given.get("tls", {}))
    if not (headers or api_key or api_base or tls):
        return None
    provider, slash, _ = model.partition("/")
    if not slash:
        rule = "api_key, api_base, headers and tls need a provider: write provider/model, or custom_llm_provider"
        raise invalid_request([FieldViolation("model", rule)])
    return ProviderOverride(provider, api_key, api_base.rstrip("/"), tuple(sorted(headers.items())), tls)


def _tls(given: Mapping[str, Any]) -> tuple[tuple[str, str | bool], ...]:
    """Return the fields of `TlsSettings` that a call sets.

    Raises:
        ServiceError: `INVALID_REQUEST`: a field that is none, or a value of the wrong type.
    """
    fields = {name: fspath(value) if isinstance(value, PathLike) else value for name, value in given.items()}
    try:
        msgspec.convert(fields, TlsSettings)
    except msgspec.ValidationError as error:
        raise invalid_request([FieldViolation("tls", f"tls: {error}")]) from None
    return tuple(sorted(fields.items()))
