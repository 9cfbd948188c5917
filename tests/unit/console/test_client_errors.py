"""What a failed call is explained as; the words are those of gRPC 1.80 to 1.85."""

from __future__ import annotations

import grpc
import pytest

from rerankd.console.client_errors import command_error
from rerankd_client import Unavailable


def unavailable(message: str, **facts: str) -> Unavailable:
    reason = facts.get("reason", "UNAVAILABLE")
    return Unavailable(grpc.StatusCode.UNAVAILABLE, reason, message, {}, request_id=facts.get("request_id"))


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("Failed to connect to remote host: Connection refused", "no server at a:1", "rerankd serve"),
        ("errors resolving a:1: Domain name not found", "there is no host of the name a:1", "spelling"),
        ("Tls handshake failed (TSI_PROTOCOL_FAILURE)", "cannot agree with a:1 on encryption", "--ca-file"),
        ("Failed parsing HTTP/2 (Expected SETTINGS frame)", "a:1 does not speak gRPC", "50051"),
        ("ipv4:127.0.0.1:1: Socket closed", "a:1 closes the connection", "--tls"),
    ],
)
def test_no_answer(words: str, message: str, hint: str) -> None:
    error = command_error(unavailable(words), "a:1", 30)

    assert (error.message, error.exit_code) == (message, 1)
    assert hint in error.hint


def test_a_server_that_answers_is_quoted() -> None:
    draining = command_error(unavailable("shutting down", reason="DRAINING", request_id="r"), "a:1", 30)
    proxied = command_error(unavailable("all busy", request_id="r"), "a:1", 30)

    assert (draining.message, draining.hint) == ("shutting down (DRAINING)", "")
    assert proxied.message == "all busy (UNAVAILABLE)"
