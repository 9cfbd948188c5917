"""Conversion of a LiteLLM proxy's `config.yaml`: providers, models with deployments, aliases, fallbacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rerankd.console.conversion.litellm_entries import LitellmEntry, SkippedError, read_entry, reference

BALANCING: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least-in-flight",
    "latency-based-routing": "latency",
    "usage-based-routing": "usage",
    "usage-based-routing-v2": "usage",
    "cost-based-routing": "cost",
}
_NEEDLESS: Final = {
    "litellm_settings.drop_params": "what a provider does not take is left out, with a warning",
    "litellm_settings.cache": "see cache in the settings",
    "litellm_settings.num_retries": "see retries below models",
    "router_settings.num_retries": "see retries below models",
    "litellm_settings.context_window_fallbacks": "long documents are split or cut",
    "router_settings.context_window_fallbacks": "long documents are split or cut",
    "environment_variables": "set them in the environment",
}
"""Hints for settings that are not converted."""


@dataclass(slots=True)
class ImportResult:
    """Result of converting a LiteLLM config."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Converted settings: `providers`, `models`, `aliases`."""
    skipped: list[str] = field(default_factory=list)
    """Skipped entries of `model_list`, each with the reason."""
    notices: list[str] = field(default_factory=list)
    """Other settings that were not converted or need review. Names only: values may be secrets."""


def import_config(config: Mapping[str, Any]) -> ImportResult:
    """Convert a parsed `config.yaml`."""
    imported = ImportResult()
    sections = {name: _mapping(config.get(name)) for name in ("litellm_settings", "router_settings")}
    entries = list(_entries(config, imported))
    timeout = sections["router_settings"].get("timeout") or sections["litellm_settings"].get("request_timeout")
    models = _models(entries, _providers(entries, timeout, imported.settings))
    _balance(models, sections["router_settings"], imported.notices)
    _add_fallbacks(models, sections, imported.notices)
    aliases = _aliases(models, sections, imported.notices)
    if models:
        imported.settings["models"] = models
    if aliases:
        imported.settings["aliases"] = aliases
    imported.notices += _left_over(config, sections)
    return imported


def _entries(config: Mapping[str, Any], imported: ImportResult) -> Iterator[LitellmEntry]:
    listed = config.get("credential_list") or []
    credentials = {
        str(each.get("credential_name")): _mapping(each.get("credential_values"))
        for each in listed
        if isinstance(each, dict)
    }
    for index, raw in enumerate(config.get("model_list") or []):
        name = raw.get("model_name") if isinstance(raw, dict) else None
        path = f"model_list[{index}]" + (f" {name}" if name else "")
        try:
            entry = read_entry(raw, credentials)
        except SkippedError as error:
            imported.skipped.append(f"{path}: {error}")
            continue
        imported.notices += [f"{path}: {notice}" for notice in entry.notices]
        yield entry


def _providers(entries: list[LitellmEntry], timeout: Any, settings: dict[str, Any]) -> list[str]:
    """Add deduplicated sections to `settings["providers"]`; return the section name of each entry."""
    providers: dict[str, dict[str, Any]] = {}
    facts: dict[str, dict[str, Any]] = {}
    names = []
    for entry in entries:
        base = entry.provider.name
        section = {**({"timeout_s": reference(timeout)} if timeout is not None else {}), **entry.section}
        number = 1
        while True:
            name = base if number == 1 else f"{base}-{number}"
            wanted = section if number == 1 else {"provider": base, **section}
            if providers.setdefault(name, wanted) == wanted:
                break
            number += 1
        names.append(name)
        if entry.facts:
            facts.setdefault(name, {})[entry.model] = entry.facts
    if providers:
        settings["providers"] = {
            name: {**section, **({"models": facts[name]} if name in facts else {})}
            for name, section in providers.items()
        }
    return names


def _models(entries: list[LitellmEntry], provider_names: list[str]) -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = {}
    for entry, provider in zip(entries, provider_names, strict=True):
        deployment = {"model": f"{provider}/{entry.model}", **entry.limits}
        models.setdefault(entry.group, {"deployments": []})["deployments"].append(deployment)
    return models


def _balance(models: Mapping[str, dict[str, Any]], router: Mapping[str, Any], notices: list[str]) -> None:
    strategy = router.get("routing_strategy") or "simple-shuffle"
    balancing = BALANCING.get(strategy)
    if balancing is None:
        notices.append(f"router_settings.routing_strategy: {strategy} has no counterpart")
        return
    for model in models.values():
        deployments = model["deployments"]
        if len(deployments) < 2:
            continue
        model["balancing"] = balancing
        if balancing == "weighted":
            _weigh(deployments)


def _weigh(deployments: list[dict[str, Any]]) -> None:
    """Set the weights that LiteLLM would use: `weight`, else requests, else tokens per minute."""
    for measure in ("weight", "requests_per_minute", "tokens_per_minute"):
        values = [each.get(measure) for each in deployments]
        if any(value is not None for value in values):
            if all(isinstance(value, int | float) and value > 0 for value in values):
                for each, value in zip(deployments, values, strict=True):
                    each["weight"] = value
            return


def _add_fallbacks(
    models: Mapping[str, dict[str, Any]], sections: Mapping[str, Mapping[str, Any]], notices: list[str]
) -> None:
    """Convert `fallbacks`; models without any get `default_fallbacks`."""
    defaults: list[str] = []
    for section, values in sections.items():
        for stated in values.get("fallbacks") or []:
            for name, wanted in _mapping(stated).items():
                path = f"{section}.fallbacks: {name}"
                if name == "*":
                    defaults += _known(wanted, models, path, notices)
                elif name in models:
                    models[name]["fallbacks"] = _known(wanted, models, path, notices)
                else:
                    notices.append(f"{path} is not among the rerank models")
        defaults += _known(values.get("default_fallbacks"), models, f"{section}.default_fallbacks", notices)
    for name, model in models.items():
        others = [each for each in dict.fromkeys(defaults) if each != name]
        model.setdefault("fallbacks", others)
        if not model["fallbacks"]:
            del model["fallbacks"]


def _known(wanted: Any, models: Mapping[str, Any], path: str, notices: list[str]) -> list[str]:
    names = wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
    notices += [
        f"{path}: {each if isinstance(each, str) else 'an entry'} is not among the rerank models"
        for each in names
        if not isinstance(each, str) or each not in models
    ]
    return [each for each in names if isinstance(each, str) and each in models]


def _aliases(
    models: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]], notices: list[str]
) -> dict[str, str]:
    aliases = {}
    for path, stated in (
        ("router_settings.model_group_alias", sections["router_settings"].get("model_group_alias")),
        ("litellm_settings.model_alias_map", sections["litellm_settings"].get("model_alias_map")),
    ):
        for alias, target in _mapping(stated).items():
            name = target.get("model") if isinstance(target, dict) else target
            if name in models:
                aliases[str(alias)] = str(name)
            else:
                notices.append(f"{path}.{alias}: {name} is not among the rerank models")
            if isinstance(target, dict) and target.get("hidden"):
                notices.append(f"{path}.{alias}: hidden has no counterpart, aliases are listed")
    return aliases


def _left_over(config: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a notice for every setting that was not converted."""
    taken = {
        "litellm_settings": {"fallbacks", "default_fallbacks", "request_timeout", "model_alias_map"},
        "router_settings": {"fallbacks", "default_fallbacks", "timeout", "model_group_alias", "routing_strategy"},
    }
    if "timeout" in sections["router_settings"]:
        taken["litellm_settings"].discard("request_timeout")
    for section, value in config.items():
        if section in ("model_list", "credential_list"):
            continue
        names = value if isinstance(value, dict) and section != "environment_variables" else [""]
        for name in names:
            path = f"{section}.{name}".rstrip(".")
            if name not in taken.get(section, ()):
                hint = _NEEDLESS.get(path)
                yield f"{path} is not taken over" + (f": {hint}" if hint else "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
