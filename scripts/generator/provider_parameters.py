"""The table of parameters on a provider's page, derived from requests that its adapter builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict

from rerankd_adapters.base import Endpoint, Provider, ProviderCall, Truncation
from rerankd_adapters.models import SHARED_MODELS, matches
from rerankd_adapters.registry import find_provider, open_adapter
from rerankd_adapters.testing.parameters import PARAMETERS, Encode, Treatment, treatments

OTHER_MODEL: Final = "other-model"
"""A model that no provider declares."""
_NEEDED: Final = {"account": "a", "project": "p", "project_id": "p", "compartment_id": "c", "region": "eu-central-1"}
"""Options that some adapters require."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several dialects an adapter speaks."""

    title: str
    options: Mapping[str, object]
    base_url: str = ""


VARIANTS: Final[Mapping[str, Sequence[Variant]]] = {
    "azure_ai": (
        Variant("v2", {}, "https://name.services.ai.azure.com"),
        Variant("v1", {}, "https://name.region.models.ai.azure.com"),
    ),
    "cohere": (Variant("v2", {}), Variant("v1", {"api_version": "1"})),
    "dashscope": (Variant("native", {}), Variant("compatible", {"api": "compatible"})),
    "generic": tuple(Variant(shape, {"shape": shape}) for shape in ("jina", "cohere", "cohere-v1", "tei")),
    "kserve": (Variant("default", {}), Variant("preset nim", {"preset": "nim"})),
}
_ONLY: Final = (Variant("handling", {}),)
_MODES: Final = ("truncation", *(f"truncation: {mode.value}" for mode in Truncation))
"""The first row is of calls without `truncation`."""


_CUT_HERE: Final = ("max_tokens_per_doc", "truncation", "truncation: end", "truncation: start")
"""Parameters that the engine applies itself for servers that refuse long documents."""


def variants_of(provider: Provider) -> Sequence[Variant]:
    """List the dialects of a provider, at least one."""
    return VARIANTS.get(provider.name, _ONLY)


@cache
def found_treatments(name: str, variant: int) -> Mapping[str, Mapping[str, tuple[Treatment, ...]]]:
    """Return the treatments of every parameter for each model, and pattern of models, `OTHER_MODEL` last."""
    provider = find_provider(name)
    assert provider is not None
    adapter, encode = _open(provider, variants_of(provider)[variant])
    models = {model: model for model in sorted(provider.models)}
    shared = () if provider.models else SHARED_MODELS
    rules = (*provider.rules, *(rule for rule in shared if rule.facts.takes_instruction))
    for pattern in (rule.pattern for rule in rules):
        if not any(matches(pattern, model) for model in models):
            models[pattern] = pattern.replace("*", "x")
    models[OTHER_MODEL] = OTHER_MODEL
    return {label: treatments(adapter, encode, model) for label, model in models.items()}


def _open(provider: Provider, variant: Variant) -> tuple[Any, Encode]:
    options = {key: value for key, value in _NEEDED.items() if key in provider.options} | dict(variant.options)
    base_url = variant.base_url or provider.base_url or ("grpc://host" if provider.is_grpc else "http://host")
    endpoint = Endpoint(base_url=base_url, api_key="key")
    if provider.is_grpc:
        module, _, name = provider.adapter.partition(":")
        upstream = getattr(import_module(module), name)(provider, endpoint, options=options)
        return upstream, lambda call: MessageToDict(
            upstream.build(call), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    adapter = open_adapter(provider, options)

    def encode(call: ProviderCall) -> Any:
        return msgspec.json.decode(adapter.build(call, endpoint).body)

    return adapter, encode


def parameter_rows(provider: Provider) -> list[tuple[str, ...]]:
    """Return a row per parameter: its name, and how each dialect handles it."""
    columns = [_column(provider, index) for index in range(len(variants_of(provider)))]
    return [(f"`{name}`", *(column[name] for column in columns)) for name in columns[0]]


def _column(provider: Provider, variant: int) -> dict[str, str]:
    found = found_treatments(provider.name, variant)
    cells: dict[str, str] = {}
    for name in PARAMETERS:
        names = _MODES if name == "truncation" else (name,)
        for position, row in enumerate(names):
            cells[row] = _cell({model: each[name][position].text for model, each in found.items()})
    if provider.capabilities.truncates is False:
        cells.update(dict.fromkeys(_CUT_HERE, "documents are cut by rerankd"))
    return cells


def _cell(texts: Mapping[str, str]) -> str:
    usual = texts[OTHER_MODEL]
    models_of: dict[str, list[str]] = {}
    for model, text in texts.items():
        if text != usual:
            models_of.setdefault(text, []).append(f"`{model}`")
    if not models_of:
        return usual
    special = "; ".join(f"{', '.join(models)}: {text}" for text, models in models_of.items())
    return f"{special}; others: {usual}"
