"""Default options from cloud configuration: the Google project and the AWS region."""

from __future__ import annotations

from collections.abc import Mapping

from rerankd_adapters.base import Endpoint, Provider, Scheme


def with_cloud_defaults(
    provider: Provider, endpoint: Endpoint, options: Mapping[str, object] | None
) -> dict[str, object]:
    """Return the options, completed from Google's application-default credentials and the AWS profile.

    Options that are set win. The project is not looked up when a key is configured. Missing values are left out; the
    first call then fails with an error that names them.

    Args:
        provider: Declares authentication methods and option names.
        endpoint: Holds the API key, if any.
        options: Adapter options that are set.
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


def _lacks(name: str, provider: Provider, options: Mapping[str, object]) -> bool:
    return name in provider.options and not options.get(name)


def _stated(name: str, value: str) -> dict[str, str]:
    return {name: value} if value else {}
