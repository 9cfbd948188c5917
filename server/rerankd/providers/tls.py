"""TLS settings of single providers: their problems, and what is warned of."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from rerankd.http.transport_settings import TlsSettings
from rerankd.providers.settings import ProviderSettings
from rerankd_adapters.base import Endpoint, Provider

_WITHOUT_TLS = frozenset({"http", "grpc", "unix"})


def tls_problems(name: str, options: ProviderSettings, provider: Provider, endpoint: Endpoint) -> list[str]:
    """Return what is wrong with the TLS settings of a provider, one sentence each."""
    if options.tls == TlsSettings():
        return []
    path = f"providers.{name}.tls"
    problems = options.tls.problems(path)
    if endpoint.base_url.partition(":")[0].lower() in _WITHOUT_TLS:
        problems.append(f"{path} has no effect: providers.{name}.base_url has no TLS, use https:// or grpcs://")
    if provider.is_grpc and not options.tls.verify:
        problems.append(f"{path}.verify: gRPC verifies certificates always; name the server's in {path}.ca_file")
    return problems


def tls_warnings(configured: Mapping[str, ProviderSettings]) -> list[str]:
    """Return a warning for every provider whose certificate is not verified."""
    return [
        f"providers.{name}.tls.verify is false: anybody between here and {urlsplit(options.base_url).hostname or name} "
        f"can read the key and the documents and forge scores; name the server's certificate in "
        f"providers.{name}.tls.ca_file instead"
        for name, options in configured.items()
        if not options.tls.verify
    ]
