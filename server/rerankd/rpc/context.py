"""Builds the call context of a gRPC call from its metadata and deadline."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

import grpc

from rerankd.contract.call_context import CallContext, usable_request_id

REQUEST_ID_KEY: Final = "x-request-id"
_CERTIFICATE_KEY: Final = "x509_pem_cert"

ServicerContext = grpc.aio.ServicerContext[Any, Any]


def open_call(context: ServicerContext) -> CallContext:
    """Build the call context of one call."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    remaining_s = context.time_remaining()
    return CallContext(
        request_id=usable_request_id(metadata.get(REQUEST_ID_KEY)),
        deadline_s=None if remaining_s is None else time.monotonic() + remaining_s,
        transport="grpc",
        metadata=metadata,
        api_version="2",
        client_certificate=partial(_client_certificate, context),
    )


def _client_certificate(context: ServicerContext) -> bytes:
    return next(iter(context.auth_context().get(_CERTIFICATE_KEY, ())), b"")
