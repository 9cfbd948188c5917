"""The standard health service, without the package of its messages.

`grpc.health.v1.HealthCheckRequest` is one string in field 1 and its response one enum in field 1. On the wire
these are the well-known wrappers of a string and an integer, which every protobuf installation has.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from google.protobuf.wrappers_pb2 import Int32Value

HEALTH_CHECK_PATH: Final = "/grpc.health.v1.Health/Check"


class HealthStatus(StrEnum):
    """What a server says of one of its services."""

    UNKNOWN = "unknown"
    """Not known."""
    SERVING = "serving"
    """It can be called."""
    NOT_SERVING = "not-serving"
    """It cannot: starting or draining."""
    SERVICE_UNKNOWN = "service-unknown"
    """There is no such service."""


_STATUS_OF_NUMBER: Final = dict(enumerate(HealthStatus))


def decode_health(message: Int32Value) -> HealthStatus:
    """Return the status that a health response carries."""
    return _STATUS_OF_NUMBER.get(message.value, HealthStatus.UNKNOWN)
