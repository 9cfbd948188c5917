"""Prices of the settings: those that cannot be, and those that would never make a cost."""

from __future__ import annotations

import math

from rerankd.providers.settings import ProviderModelSettings, ProviderSettings
from rerankd_adapters.base import Provider
from rerankd_adapters.capability import ChatPrice

_SETTINGS = {
    "token": "usd_per_million_tokens",
    "search_unit": "usd_per_million_search_units",
    "call": "usd_per_call",
}
_NAMES = {"token": "tokens", "search_unit": "search units"}


def price_problems(name: str, options: ProviderSettings, provider: Provider) -> list[str]:
    """Return what is wrong with the prices of a provider's models, one sentence each."""
    return [
        problem
        for model, facts in options.models.items()
        for problem in _problems_of(f'providers.{name}.models."{model}"', model, facts, provider)
    ]


def _problems_of(path: str, model: str, facts: ProviderModelSettings, provider: Provider) -> list[str]:
    prices = facts.prices(model)
    stated = {price.unit: price.usd_per_million for price in prices}
    problems = [
        f"{path}.{_SETTINGS[unit]} must be a finite price of at least 0"
        for unit, usd in stated.items()
        if not (math.isfinite(usd) and usd >= 0)
    ]
    problems += [
        f"{path}.usd_per_million_output_tokens must be a finite price of at least 0, beside usd_per_million_tokens"
        for price in prices
        if isinstance(price, ChatPrice)
        and (facts.usd_per_million_tokens is None or not 0 <= price.output_usd_per_million < math.inf)
    ]
    if len(stated) > 1:
        problems.append(
            f"{path} has {len(stated)} prices, {' and '.join(_SETTINGS[unit] for unit in stated)}; state one"
        )
    problems += [
        f"{path}.{_SETTINGS[unit]} can never apply: {provider.title} reports no {_NAMES[unit]}; "
        f"state the price {_alternatives(provider, model)}"
        for unit in stated
        if not provider.reports(unit, model)
    ]
    return problems


def _alternatives(provider: Provider, model: str) -> str:
    usable = [setting for unit, setting in _SETTINGS.items() if provider.reports(unit, model)]
    return f"as {' or '.join(usable)}"
