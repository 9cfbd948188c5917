"""Configurations in the names of the dashboard's API: `providerKey` and `model`, `topN`, beside the settings' own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rerankd.configuration.tagged import tags_of
from rerankd.strategies.settings import AnyReranker

_TAGS: Final = tags_of(AnyReranker)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def own_config(strategy: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Translate a configuration into the settings' own names; what is not known stays as it is.

    Args:
        strategy: Name of the strategy; an unknown one leaves the configuration as it is.
        config: Keys in the settings' own names, or in camelCase; `providerKey` and `model` name a model together.

    Returns:
        The configuration, and the names that were given for others, by these.
    """
    known = _keys_of(strategy)
    found = dict(config)
    given: dict[str, str] = {}
    provider = found.get("providerKey")
    if "model" in known and isinstance(provider, str) and isinstance(model := found.get("model"), str):
        del found["providerKey"]
        found["model"] = f"{provider}/{model}" if provider else model
    for name in [name for name in found if name not in known]:
        own = _HUMP.sub(r"_\1", name).lower()
        if own in known and own not in found:
            found[own] = found.pop(name)
            given[own] = name
    return found, given


def _keys_of(strategy: str) -> frozenset[str]:
    """Return the keys that the configuration of a strategy may have."""
    struct = None if _TAGS is None else _TAGS.structs.get(strategy)
    if struct is None:
        return frozenset()
    (config,) = (field.type for field in msgspec.structs.fields(struct) if field.name == "config")
    return frozenset(field.encode_name for field in msgspec.structs.fields(config))
