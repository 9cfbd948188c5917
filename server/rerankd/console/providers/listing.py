"""The command `providers`: lists providers with their configuration and reachability."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from rerankd.console.errors import FAILED, OK, CommandError
from rerankd.console.providers import facts
from rerankd.console.providers.status import ProviderStatus, can_be_probed, list_statuses, probe_all, shown_url
from rerankd.console.providers.tables import print_problems, print_provider, print_providers, show_progress
from rerankd.console.rendering import print_json
from rerankd.console.serving import load
from rerankd.contract.suggestions import did_you_mean
from rerankd.providers.factory import ProviderSettingsError, open_configured_transport
from rerankd.settings import Settings
from rerankd_adapters.registry import broken_providers, find_provider


def show_providers(name: str | None, config: Path | None, *, is_checked: bool, is_json: bool) -> int:
    """Print all providers, or one in full.

    Args:
        name: Provider name or alias; None: all.
        config: Settings file; None: the one that `RERANKD_CONFIG` names, if any.
        is_checked: Probe providers whose address is known.
        is_json: Print JSON.

    Returns:
        `FAILED` if a checked, configured provider is unreachable or unusable.
    """
    found = asyncio.run(_collect(load(config, {}), name, is_checked=is_checked))
    if is_json:
        entries = [_as_json(each) for each in found]
        if name is not None:
            entries = [entry | facts.as_json(each.provider) for entry, each in zip(entries, found, strict=True)]
        broken = [{"name": each, "problems": [f"broken: {why}"]} for each, why in sorted(broken_providers().items())]
        print_json([*entries, *broken] if name is None else entries[0])
    elif name is None:
        print_providers(found, broken_providers(), is_checked=is_checked)
    else:
        print_provider(found[0])
    if not is_json:
        print_problems(found)
    return FAILED if is_checked and any(map(_has_failed, found)) else OK


async def _collect(settings: Settings, name: str | None, *, is_checked: bool) -> list[ProviderStatus]:
    try:
        transport = open_configured_transport(settings.transport)
    except ProviderSettingsError as error:
        raise CommandError(str(error)) from error
    try:
        found = await list_statuses(settings.providers, os.environ, transport)
        if name is not None:
            found = [_select(name, found)]
        if is_checked:
            with show_progress(sum(map(can_be_probed, found))) as on_done:
                await probe_all(found, transport, on_done)
        return found
    finally:
        await transport.close()


def _select(name: str, found: Sequence[ProviderStatus]) -> ProviderStatus:
    for each in found:
        if each.name == name:
            return each
    declared = find_provider(name)
    for each in found:
        if declared is not None and each.provider.name == declared.name:
            return each
    if name in broken_providers():
        raise CommandError(f"the provider {name} is broken: {broken_providers()[name]}", "reinstall its package")
    hint = did_you_mean(name, [each.name for each in found]).removeprefix("; ")
    raise CommandError(f"there is no provider {name}", hint or "`rerankd providers` lists them")


def _has_failed(each: ProviderStatus) -> bool:
    return bool(each.configured_by) and (bool(each.problems) or each.is_reachable is False)


def _as_json(each: ProviderStatus) -> dict[str, object]:
    is_settings = each.configured_by == "settings"
    return {
        "name": each.name,
        "provider": each.provider.name,
        "title": each.provider.title,
        "configured_by": "settings" if is_settings else "environment" if each.configured_by else None,
        "variable": None if is_settings else each.configured_by or None,
        "base_url": shown_url(each.base_url),
        "models": len(each.provider.models),
        "scoring": facts.scoring_text(each.provider),
        "is_reachable": each.is_reachable,
        "reach": each.reach,
        "problems": each.problems,
    }
