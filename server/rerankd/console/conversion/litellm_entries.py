"""Conversion of one entry of a LiteLLM proxy's `model_list` to a provider, a model and their settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rerankd_adapters.base import Provider
from rerankd_adapters.registry import find_provider

_LOOKS_LIKE_RERANKER: Final = re.compile(r"rerank|llama-rank|\branker\b|semantic-ranker|cross-encoder", re.IGNORECASE)
_VARIABLE: Final = "os.environ/"
_OPTIONS: Final = {
    "aws_region_name": "region",
    "vertex_project": "project",
    "vertex_location": "location",
    "watsonx_region_name": "region",
    "region_name": "region",
    "api_version": "version",
}
"""LiteLLM option name to ours; other names are the same."""
_DEPLOYMENT: Final = {
    "weight": "weight",
    "max_parallel_requests": "max_concurrent",
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
}
_PRICES: Final = ("input_cost_per_token", "input_cost_per_query")


_PRICE_OF_UNIT: Final = {
    "token": ("usd_per_million_tokens", 1_000_000),
    "search_unit": ("usd_per_million_search_units", 1_000_000),
    "call": ("usd_per_call", 1),
}
"""Setting of a price by unit, and the factor from LiteLLM's dollars for one."""


class SkippedError(Exception):
    """The entry is not converted; the message is the reason."""


@dataclass(slots=True)
class LitellmEntry:
    """A converted entry."""

    group: str
    """Public model name."""
    provider: Provider
    model: str
    """The provider's name for the model."""
    section: dict[str, Any]
    """Settings of `providers.NAME`, without `models`."""
    facts: dict[str, float]
    """Settings of `providers.NAME.models.MODEL`."""
    limits: dict[str, Any]
    """Settings of the deployment besides its model."""
    notices: list[str] = field(default_factory=list)
    """Settings that were not converted or need review."""


def read_entry(entry: object, credentials: Mapping[str, Mapping[str, object]]) -> LitellmEntry:
    """Convert one entry.

    Args:
        entry: Item of `model_list`.
        credentials: `credential_values` of `credential_list`, by name.

    Raises:
        SkippedError: The entry is not a reranker, or no provider can serve it.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("litellm_params"), dict):
        raise SkippedError("it has no litellm_params")
    params = {
        **credentials.get(str(entry["litellm_params"].get("litellm_credential_name")), {}),
        **entry["litellm_params"],
    }
    params = {**{name: entry[name] for name in ("rpm", "tpm", "weight") if name in entry}, **params}
    info = stated if isinstance(stated := entry.get("model_info"), dict) else {}
    provider, model = _served_by(params)
    _check_mode(info.get("mode"), provider, model)
    group = str(entry.get("model_name") or params["model"])
    found = LitellmEntry(group, provider, model, section={}, facts={}, limits={})
    _translate(params, found)
    for name, value in info.items():
        if name in _PRICES:
            _set_price(found, name, value)
        elif name != "mode":
            found.notices.append(f"model_info.{name} has no counterpart")
    unknown = entry.keys() - {"model_name", "litellm_params", "model_info", *_DEPLOYMENT}
    found.notices += [f"{name} has no counterpart" for name in sorted(unknown, key=str)]
    return found


def reference(value: object) -> Any:
    """Convert `os.environ/NAME` to `${NAME}`; escape a literal `${`."""
    if not isinstance(value, str):
        return value
    if value.startswith(_VARIABLE):
        return f"${{{value.removeprefix(_VARIABLE)}}}"
    return value.replace("${", "$${")


def _served_by(params: Mapping[str, object]) -> tuple[Provider, str]:
    named, stated = str(params.get("model") or ""), params.get("custom_llm_provider")
    if "*" in named:
        raise SkippedError("it is a wildcard; every model of a configured provider can be called as provider/model")
    prefix, slash, rest = named.partition("/")
    name = str(stated or (prefix if slash else ""))
    model = rest if slash and prefix == name else named
    if not name and named.startswith("rerank-"):
        name = "cohere"
    if not name or not model or named.startswith(_VARIABLE):
        raise SkippedError("litellm_params.model names no provider")
    provider = find_provider(name)
    if provider is None or not provider.adapter:
        raise SkippedError(f"there is no provider {name} that reranks")
    return provider, model


def _check_mode(mode: object, provider: Provider, model: str) -> None:
    if mode is not None and mode != "rerank":
        raise SkippedError(f"model_info.mode is {mode}")
    if mode is None and model not in provider.models and not _LOOKS_LIKE_RERANKER.search(model):
        raise SkippedError("it does not look like a reranker; set model_info.mode to rerank if it is one")


def _translate(params: Mapping[str, object], found: LitellmEntry) -> None:
    section = found.section
    for name, value in params.items():
        option = _OPTIONS.get(name, name)
        if name in ("model", "custom_llm_provider", "litellm_credential_name") or value is None:
            continue
        if name == "api_key":
            section["api_key"] = reference(str(value))
            if not str(value).startswith(_VARIABLE):
                found.notices.append("api_key is written out; a reference such as ${NAME} or ${file:PATH} is safer")
        elif name == "api_base":
            section["base_url"] = reference(value)
        elif name == "timeout":
            section["timeout_s"] = reference(value)
        elif name in ("extra_headers", "headers") and isinstance(value, dict):
            section.setdefault("headers", {}).update({key: reference(item) for key, item in value.items()})
        elif name in _DEPLOYMENT:
            found.limits[_DEPLOYMENT[name]] = reference(value)
        elif name in _PRICES:
            _set_price(found, name, value)
        elif option in found.provider.options:
            section.setdefault("options", {})[option] = reference(value)
        else:
            found.notices.append(f"litellm_params.{name} has no counterpart{_hint(name)}")


def _set_price(found: LitellmEntry, name: str, value: Any) -> None:
    """Convert a price to the unit that the provider reports; a price per query comes before one per token."""
    try:
        usd = float(value)
    except (TypeError, ValueError):
        found.notices.append(f"{name} is not a number")
        return
    if not usd:
        return
    per_query = name == "input_cost_per_query"
    if found.facts and not per_query:
        found.notices.append(f"{name} is left out: input_cost_per_query is the price")
        return
    if found.facts:
        found.notices.append("input_cost_per_token is left out: input_cost_per_query is the price")
    unit = "search_unit" if per_query else "token"
    if not found.provider.reports(unit, found.model):
        if not per_query:
            found.notices.append(f"{name} is left out: {found.provider.title} reports no tokens")
            return
        unit = "call"
    setting, scale = _PRICE_OF_UNIT[unit]
    found.facts = {setting: usd * scale}


def _hint(name: str) -> str:
    if name.startswith("aws_"):
        return "; credentials come from the environment or the AWS profile"
    if name == "vertex_credentials":
        return "; set GOOGLE_APPLICATION_CREDENTIALS"
    return ""
