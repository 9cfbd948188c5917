"""The server's span of a gRPC call, whatever way it ends."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final

import grpc

from rerankd.contract.call_context import CallContext
from rerankd.rpc.context import ServicerContext
from rerankd.telemetry import names
from rerankd.telemetry.trace import begin

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the server's fault, by OpenTelemetry's conventions."""
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class ServerSpan:
    """A context in which one call is served: begins a span, and ends it with the status that the caller sees."""

    __slots__ = ("_call", "_context", "_name", "_trace")

    def __init__(self, name: str, call: CallContext, context: ServicerContext) -> None:
        self._call = call
        self._context = context
        self._name = name
        self._trace = begin(name, call.metadata)

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        trace = self._trace
        if trace is None:
            return
        code = "OK" if error is None else _code(self._context, error)
        is_fault = code in _FAULTS
        if trace.end(is_error=is_fault):
            attributes = {
                names.RPC_SYSTEM: "grpc",
                names.RPC_METHOD: self._name,
                names.REQUEST_ID: self._call.request_id,
                names.RPC_STATUS: code,
            }
            trace.finish(attributes, error=code if is_fault else None)


def _code(context: ServicerContext, error: BaseException) -> str:
    """Name the status that the caller sees: the aborted call's own, or that of a call that was cut off."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining_s = context.time_remaining()
        return "DEADLINE_EXCEEDED" if remaining_s is not None and remaining_s <= 0 else "CANCELLED"
    given: Any = context.code()
    value = given.value[0] if isinstance(given, grpc.StatusCode) else given
    return _CODES.get(value, "UNKNOWN") if value else "UNKNOWN"
