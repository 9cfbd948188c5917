"""Converts errors of the Python client to command errors with a hint."""

from __future__ import annotations

from typing import Final

from rerankd.console.errors import CommandError
from rerankd_client import DeadlineExceeded, RerankError, Unauthenticated, Unavailable

_UNREACHABLE: Final = (
    (
        "handshake",
        "cannot agree with {address} on encryption",
        "leave out --tls if the server has none, or name its certificates with --ca-file",
    ),
    ("http/2", "{address} does not speak gRPC", "give the gRPC port, which is 50051 unless set otherwise"),
    (
        "socket closed",
        "{address} closes the connection",
        "add --tls if the server wants an encrypted connection",
    ),
    ("resolving", "there is no host of the name {address}", "check the spelling of --address"),
    ("", "no server at {address}", "start one with `rerankd serve`, or name another with --address"),
)
"""Substring of gRPC's message in lower case, our message, hint. The first match is used."""


def command_error(error: RerankError, address: str, timeout_s: float) -> CommandError:
    """Convert the error of a failed call.

    Args:
        error: Raised by the client.
        address: Target of the call.
        timeout_s: Deadline of the call in seconds.
    """
    if isinstance(error, Unavailable) and error.reason == "UNAVAILABLE" and error.request_id is None:
        # A server sends error details; gRPC's own errors have none.
        return _explain_unreachable(error, address)
    if isinstance(error, DeadlineExceeded):
        hint = "give it longer with --timeout, or send fewer documents"
        return CommandError(f"no answer within {timeout_s:g} s", hint)
    reason = "" if error.reason in error.message else f" ({error.reason})"
    return CommandError(f"{error.message}{reason}", _hint_for(error))


def _explain_unreachable(error: RerankError, address: str) -> CommandError:
    words = error.message.lower()
    message, hint = next((message, hint) for part, message, hint in _UNREACHABLE if part in words)
    return CommandError(message.format(address=address), hint)


def _hint_for(error: RerankError) -> str:
    if isinstance(error, Unauthenticated):
        return "pass --api-key, or set RERANKD_API_KEY"
    if error.retry_after_s is not None:
        return f"try again in {error.retry_after_s:g} s"
    if error.reason == "MODEL_NOT_FOUND":
        suggestion = error.metadata.get("suggestion", "")
        known = "`rerankd models` lists the models"
        # The service's message may contain the suggestion.
        return known if suggestion in error.message else f"did you mean {suggestion}? {known}"
    if error.code.name in ("INTERNAL", "UNKNOWN") and error.request_id:
        return f"the server's log has more under {error.request_id}"
    return ""
