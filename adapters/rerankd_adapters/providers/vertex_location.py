"""Project, location and host of Google's ranking API, over REST and gRPC.

Reference: https://docs.cloud.google.com/generative-ai-app-builder/docs/locations. Facts of 2026-11-29: the
multi-regions `us` and `eu` have hosts of their own, and each host serves its location alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_HOST: Final = re.compile(r"(?<=://)(?:(us|eu)-)?discoveryengine\.googleapis\.com")
_RESOURCE: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/rankingConfigs/([^/]+)")


class RankingConfig(NamedTuple):
    """A ranking config, as its resource name states it."""

    project: str
    """Empty if it is unknown."""
    location: str
    name: str


def ranking_config(options: Mapping[str, object], base_url: str) -> RankingConfig:
    """Return the ranking config of the options; a whole resource name in `ranking_config` states all three.

    The location is, in this order, that of the resource name, of the option, and of Google's host.
    """
    name = str(options.get("ranking_config") or "default_ranking_config")
    if resource := _RESOURCE.fullmatch(name):
        return RankingConfig(*resource.groups())
    host = _HOST.search(base_url)
    location = str(options.get("location") or (host and host[1]) or "global")
    return RankingConfig(str(options.get("project") or ""), location, name)


def located(base_url: str, location: str) -> str:
    """Return the base URL with the host of a location; hosts other than Google's stay as they are."""
    prefix = f"{location}-" if location in ("us", "eu") else ""
    return _HOST.sub(f"{prefix}discoveryengine.googleapis.com", base_url, count=1)
