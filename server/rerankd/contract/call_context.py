"""What every layer knows of a call besides its request and response.

Requests and responses themselves are `rerankd.contract.messages`, generated from the protos.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Final

import msgspec

MAX_REQUEST_ID_CHARS: Final = 128


class Caller(msgspec.Struct, frozen=True):
    """Who calls. Nothing in it is secret."""

    identity: str = ""
    """Stable name of the caller; empty for an anonymous one."""
    key_id: str = ""
    """Public id of the API key that was sent; empty without one."""
    groups: tuple[str, ...] = ()
    """Groups the caller belongs to."""


ANONYMOUS: Final = Caller()


class CallContext(msgspec.Struct, frozen=True):
    """Who calls, over what, and until when."""

    request_id: str
    """Identifies the call in logs, headers and `RerankResponse.id`."""
    deadline_s: float | None = None
    """`time.monotonic()` after which nobody waits for the answer; `None` without a deadline."""
    transport: str = "grpc"
    """"grpc" or "http"."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    """gRPC metadata or HTTP headers, names in lower case."""
    api_version: str = "1"
    """Interface the caller used, for `Meta.api_version`: "1" or "2"."""
    request_type: str = "rerank"
    """"rerank" or "batch_rerank", for `ExtraFields.request_type`."""
    caller: Caller = ANONYMOUS
    """Who calls."""
    ranks_blank_last: bool = False
    """Whether blank documents are ranked last, instead of refused; no model sees them."""

    def remaining_s(self) -> float | None:
        """Seconds until the deadline, negative when it has passed; `None` without one."""
        return None if self.deadline_s is None else self.deadline_s - time.monotonic()


def usable_request_id(given: str | None) -> str:
    """Return the caller's own request id where it is usable, else a new one of 32 hexadecimal digits."""
    if given and len(given) <= MAX_REQUEST_ID_CHARS and given.isascii() and given.isprintable():
        return given
    return secrets.token_hex(16)
