"""Server span of a gRPC call."""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Any, Final

import grpc

from rerankd.contract.call_context import CallContext
from rerankd.rpc.context import ServicerContext
from rerankd.telemetry import names
from rerankd.telemetry.calls.server_span import ServerTracing
from rerankd.telemetry.calls.trace_context import Attributes

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the server's fault, by OpenTelemetry's semantic conventions."""
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class GrpcCallSpan:
    """Context manager around one call: begins a server span and ends it with the status that the caller sees."""

    __slots__ = ("_call", "_context", "_name", "_span")

    def __init__(self, name: str, call: CallContext, context: ServicerContext, tracing: ServerTracing) -> None:
        self._call = call
        self._context = context
        self._name = name
        self._span = tracing.begin(name, call.metadata)

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is None:
            return
        code = "OK" if error is None else _code(self._context, error)
        describe = partial(_attributes, self._name, self._call.request_id, code)
        self._span.end(describe, error=code if code in _FAULTS else None)


def _attributes(method: str, request_id: str, code: str) -> Attributes:
    return {
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: method,
        names.REQUEST_ID: request_id,
        names.RPC_STATUS: code,
    }


def _code(context: ServicerContext, error: BaseException) -> str:
    """Name the status that the caller sees: the one the call was aborted with, or that of a cancelled call."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining_s = context.time_remaining()
        return "DEADLINE_EXCEEDED" if remaining_s is not None and remaining_s <= 0 else "CANCELLED"
    given: Any = context.code()
    value = given.value[0] if isinstance(given, grpc.StatusCode) else given
    return _CODES.get(value, "UNKNOWN") if value else "UNKNOWN"
