"""Status of every provider: how it is configured, what is missing, and whether it is reachable."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from rerankd.console.providers.facts import extras_of
from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TlsSettings
from rerankd.providers.environment import endpoint_from_environment, first_of, options_from_environment
from rerankd.providers.factory import configured_endpoint, provider_problems
from rerankd.providers.settings import ProviderSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest, Provider
from rerankd_adapters.registry import find_provider, provider_names

PROBE_TIMEOUT_S: Final = 3.0
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(slots=True, kw_only=True)
class ProviderStatus:
    """Status of one provider."""

    name: str
    """Public name, which callers write before the slash."""
    provider: Provider
    configured_by: str = ""
    """`settings`, the name of an environment variable, or empty."""
    base_url: str = field(default="", repr=False)
    """Base URL; empty if unknown. May contain a password: display `shown_url` of it."""
    tls: TlsSettings = TlsSettings()
    """TLS settings of its own."""
    problems: list[str] = field(default_factory=list)
    """Reasons why it cannot be used although it is configured."""
    is_reachable: bool | None = None
    """`None` if it was not probed."""
    reach: str = ""
    """Result of the probe: status and latency, or the error."""


async def list_statuses(
    configured: Mapping[str, ProviderSettings], environ: Mapping[str, str], transport: HttpTransport
) -> list[ProviderStatus]:
    """List the status of all configured and installed providers, sorted by name."""
    found = [
        await _status_of_settings(name, options, provider, environ, transport)
        for name, options in configured.items()
        if (provider := find_provider(options.provider or name))
    ]
    taken = {each.name for each in found} | {each.provider.name for each in found if each.name in each.provider.aliases}
    providers = [find_provider(name) for name in provider_names() if name not in taken]
    found += [await _status_of_environment(provider, environ, transport) for provider in providers if provider]
    return sorted(found, key=lambda each: each.name)


async def _status_of_settings(
    name: str, options: ProviderSettings, provider: Provider, environ: Mapping[str, str], transport: HttpTransport
) -> ProviderStatus:
    base_url = configured_endpoint(provider, options, environ).base_url
    return ProviderStatus(
        name=name,
        provider=provider,
        configured_by="settings",
        base_url=_expand(base_url, {**options_from_environment(provider, environ), **options.options}),
        tls=options.tls,
        problems=await provider_problems({name: options}, environ, transport) or _not_installed(provider),
    )


async def _status_of_environment(
    provider: Provider, environ: Mapping[str, str], transport: HttpTransport
) -> ProviderStatus:
    """Return the status of a provider that only environment variables configure."""
    status = await _status_of_settings(provider.name, ProviderSettings(), provider, environ, transport)
    variables = (*provider.key_variables, *provider.base_url_variables, *provider.presence_variables)
    variable = next((name for name in variables if first_of([name], environ)), "")
    if endpoint_from_environment(provider, environ) is not None:
        status.configured_by = variable
    else:
        status.configured_by = ""
        status.problems = list(_missing_inputs(provider, variable, environ))
    return status


def _missing_inputs(provider: Provider, variable: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what a provider still needs when one of its variables is set."""
    if not variable:
        return
    if provider.key_is_required and not first_of(provider.key_variables, environ):
        yield f"{variable} is set, but no key; set {' or '.join(provider.key_variables)}"
    if not (provider.base_url or first_of(provider.base_url_variables, environ)):
        wanted = " or ".join(provider.base_url_variables) or f"providers.{provider.name}.base_url"
        yield f"{variable} is set, but no address; set {wanted}"


def _not_installed(provider: Provider) -> list[str]:
    """Return a problem if every authentication method needs an extra that is not installed."""
    extras = extras_of(provider)
    missing = [extra for library, extra in extras if not _is_installed(library)]
    if missing and len(missing) == len(provider.authentication):
        return [f"{provider.name} needs a library that is not installed: pip install 'rerankd[{missing[0]}]'"]
    return []


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:
        return False


def _expand(base_url: str, options: Mapping[str, object]) -> str:
    """Replace placeholders such as `{region}` by options."""
    return _PLACEHOLDER.sub(lambda match: str(options.get(match[1]) or match[0]), base_url)


def shown_url(url: str) -> str:
    """Return a URL without credentials and query string, for display."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def probe_all(found: Sequence[ProviderStatus], transport: HttpTransport, on_done: Callable[[], None]) -> None:
    """Probe every provider with a known address concurrently and store the results in `found`.

    A probe is a GET of the base URL without credentials, any response counting as reachable, or a TCP connection for
    addresses that are not HTTP. Timeout: `PROBE_TIMEOUT_S`.

    Args:
        found: Providers to probe; `is_reachable` and `reach` are set.
        transport: Sends the HTTP probes, but for providers with TLS settings of their own.
        on_done: Called after each probe.
    """

    async def probe(each: ProviderStatus) -> None:
        started_s = time.monotonic()
        try:
            said = await asyncio.wait_for(_reach(each, transport), PROBE_TIMEOUT_S + 0.5)
            each.is_reachable, each.reach = True, f"{said}, {(time.monotonic() - started_s) * 1000:.0f} ms"
        except (AdapterError, OSError, ValueError) as error:
            each.is_reachable, each.reach = False, _cause(error)
        on_done()

    await asyncio.gather(*(probe(each) for each in found if can_be_probed(each)))


def can_be_probed(each: ProviderStatus) -> bool:
    """Whether its address is known completely."""
    return bool(each.base_url) and not _PLACEHOLDER.search(each.base_url)


async def _reach(each: ProviderStatus, transport: HttpTransport) -> str:
    base_url = each.base_url
    if base_url.startswith("unix:"):
        _, writer = await asyncio.open_unix_connection(base_url.removeprefix("unix://").removeprefix("unix:"))
        writer.close()
        return "connects"
    if not base_url.startswith(("http://", "https://")):
        return await _connect(base_url)
    own = None if each.tls == TlsSettings() else open_transport(transport.settings, each.tls)
    try:
        response = await (own or transport).send(HttpRequest(method="GET", url=base_url), PROBE_TIMEOUT_S)
    except AdapterError as error:
        if error.kind is AdapterErrorKind.BAD_RESPONSE:
            return "answers"
        raise
    finally:
        if own is not None:
            await own.close()
    return f"HTTP {response.status}"


async def _connect(address: str) -> str:
    parts = urlsplit(address if "//" in address else f"//{address}")
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or (80 if parts.scheme == "grpc" else 443))
    writer.close()
    return "connects"


def _cause(error: Exception) -> str:
    if isinstance(error, AdapterError):
        return error.message.removeprefix("the connection failed: ")
    if isinstance(error, TimeoutError):
        return f"no connection within {PROBE_TIMEOUT_S:g} s"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "the address is malformed"
