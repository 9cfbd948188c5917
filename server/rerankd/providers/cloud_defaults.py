"""Options that the tools of a cloud already know, for an operator who gave none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerankd_adapters.base import Endpoint, Provider, Scheme


def with_cloud_defaults(provider: Provider, endpoint: Endpoint, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options with those that the cloud's own configuration states; the operator's go first.

    Google's application-default credentials name a project, AWS's profile a region. Neither is looked for where a
    key or the option itself is given. What cannot be found is left out: the first call says what is missing.

    Args:
        provider: Declares how it authenticates and which options it has.
        endpoint: Has the key, if there is one.
        options: The deployment's.
    """
    options = dict(options or {})
    schemes = {way.scheme for way in provider.authentication}
    if Scheme.GOOGLE in schemes and not endpoint.api_key and _lacks("project", provider, options):
        from rerankd.providers.google import default_project

        options |= _stated("project", default_project())
    if Scheme.SIGV4 in schemes and _lacks("region", provider, options):
        from rerankd.providers.aws import profile_region

        options |= _stated("profile_region", profile_region())
    return options


def _lacks(name: str, provider: Provider, options: Mapping[str, Any]) -> bool:
    return name in provider.options and not options.get(name)


def _stated(name: str, value: str) -> dict[str, str]:
    return {name: value} if value else {}
