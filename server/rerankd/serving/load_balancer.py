"""Signs that a load balancer routes calls here, which needs time to notice that this server stops."""

from __future__ import annotations

import ctypes
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

BALANCED_DRAIN_DELAY_S: Final = 10.0
"""Delay behind a load balancer: three of HAProxy's checks or one of Kubernetes', at their defaults."""
_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"


def environment_sign(environment: Mapping[str, str]) -> str:
    """Name what in the environment says that there is a load balancer; empty if nothing does."""
    return f"{_KUBERNETES} is set" if environment.get(_KUBERNETES) else ""


class LoadBalancerSigns:
    """Remembers the first sign of a load balancer. For one event loop; workers share `seen`.

    Args:
        environment: Variables of the process.
        seen: Set when any worker sees a sign, because the kernel gives each worker some of the connections; default:
            this one is alone.
    """

    def __init__(self, environment: Mapping[str, str], seen: ctypes.c_bool | None = None) -> None:
        self._seen = ctypes.c_bool(False) if seen is None else seen
        self._sign = ""
        self._note(environment_sign(environment))

    @property
    def sign(self) -> str:
        """What was seen; empty for nothing."""
        return self._sign or ("another worker saw a load balancer" if self._seen.value else "")

    def note_forwarded(self) -> None:
        """Note a call with the header that a proxy adds."""
        self._note("calls carry X-Forwarded-For or Forwarded")

    def note_health_check(self, peer: str) -> None:
        """Note a health check by `peer`, an IP address or gRPC's name of one; those of this machine do not count."""
        if not self._sign and _is_elsewhere(peer):
            self._note("another machine checks the health")

    def drain_delay_s(self, configured_s: float | None) -> float:
        """Return the seconds between reporting NOT_SERVING and closing the listeners."""
        if configured_s is not None:
            return configured_s
        return BALANCED_DRAIN_DELAY_S if self.sign else 0.0

    def _note(self, sign: str) -> None:
        if sign and not self._sign:
            self._sign = sign
            self._seen.value = True


def _is_elsewhere(peer: str) -> bool:
    """Say whether a peer such as `10.0.0.7`, `ipv4:10.0.0.7:80` or `ipv6:%5B::1%5D:80` is another machine."""
    kind, separator, rest = peer.partition(":")
    if separator and kind in ("ipv4", "ipv6"):
        peer = unquote(rest).rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # a Unix socket
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return not (mapped or address).is_loopback
