"""The server's span of a gRPC call, whatever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import grpc

from rerankd.rpc.context import ServicerContext
from rerankd.telemetry import names
from rerankd.telemetry.trace import Trace, begin

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the server's fault, by OpenTelemetry's conventions."""
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


def begin_span(name: str, metadata: Mapping[str, str]) -> Trace | None:
    """Begin the span of a call with its caller's trace context; `None` when there is nothing to keep or pass on."""
    return begin(name, metadata, {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: name})


def finish_span(trace: Trace, context: ServicerContext, request_id: str, error: BaseException | None = None) -> None:
    """End the span with the status the caller sees; `error` is what ended the call."""
    code = "OK" if error is None else _code(context, error)
    trace.attributes[names.REQUEST_ID] = request_id
    trace.attributes[names.RPC_STATUS] = code
    trace.finish(error=code if code in _FAULTS else None)


def _code(context: ServicerContext, error: BaseException) -> str:
    """Name the status that the caller sees: the aborted call's own, or that of a call that was cut off."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining_s = context.time_remaining()
        return "DEADLINE_EXCEEDED" if remaining_s is not None and remaining_s <= 0 else "CANCELLED"
    given: Any = context.code()
    value = given.value[0] if isinstance(given, grpc.StatusCode) else given
    return _CODES.get(value, "UNKNOWN") if value else "UNKNOWN"
