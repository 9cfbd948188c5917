"""Records calls of methods that the server does not have."""

from __future__ import annotations

import grpc

from rerankd.contract.call_context import CallContext, usable_request_id
from rerankd.rpc.context import REQUEST_ID_KEY
from rerankd.telemetry.calls.server_span import ServerTracing


class UnknownMethods(grpc.GenericRpcHandler):
    """Generic handler without methods: records the calls that reach it. Added to a server after every other handler.

    Args:
        tracing: Takes the calls.
    """

    def __init__(self, tracing: ServerTracing) -> None:
        self._tracing = tracing

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        """Return no handler: grpc.aio then answers UNIMPLEMENTED."""
        metadata = dict(handler_call_details.invocation_metadata or ())
        given = metadata.get(REQUEST_ID_KEY)
        request_id = usable_request_id(given if isinstance(given, str) else None)
        call = CallContext(request_id=request_id, transport="grpc")
        self._tracing.unknown_method(call, handler_call_details.method)
