"""Execution of batch items: by a server, or by the engine in this process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Final, Protocol

from rerankd.console.batch.plan import BatchPlan
from rerankd.console.calls import Target
from rerankd_client import AsyncRerankClient, BatchItem, BatchResult, ClientOptions

_RECONNECT_MS: Final = 1000


class BatchExecutor(Protocol):
    """Executes streams of items, one after the other."""

    def stream(self, items: Iterator[BatchItem]) -> AsyncIterator[BatchResult]:
        """Execute items and yield results as they finish; reads `items` no faster than results are consumed.

        Raises:
            RerankError: The stream failed.
        """
        ...

    async def close(self) -> None:
        """Release resources."""
        ...


class RemoteExecutor:
    """Sends items to a running server; one connection per stream."""

    def __init__(self, target: Target, plan: BatchPlan) -> None:
        self._address = target.address
        self._options = ClientOptions(
            api_key=target.api_key,
            timeout_s=math.inf,
            tls=target.is_tls,
            ca_file=target.ca_file,
            # The batch run restarts a broken stream itself, with the unanswered items.
            max_attempts=1,
            channel_options=(
                ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
                ("grpc.use_local_subchannel_pool", 1),
            ),
        )
        self._plan = plan

    async def stream(self, items: Iterator[BatchItem]) -> AsyncIterator[BatchResult]:
        """See `BatchExecutor`."""
        defaults: Any = dict(self._plan.defaults)
        async with AsyncRerankClient(self._address, **self._options) as client:
            batch = client.batch_rerank(items, defaults=defaults, max_concurrency=self._plan.concurrency, max_resumes=0)
            async with batch:
                async for result in batch:
                    yield result

    async def close(self) -> None:
        """Do nothing; each stream closes its own connection."""


class InProcessExecutor:
    """Runs items in an engine in this process, with the server's settings."""

    def __init__(self, plan: BatchPlan) -> None:
        import msgspec

        from rerankd.console.serving import load
        from rerankd.sdk.logs import quieten_logs
        from rerankd.serving.engine_host import EngineHost

        quieten_logs()
        settings = load(None, {})
        if plan.concurrency is not None:
            limits = msgspec.structs.replace(settings.limits, batch_concurrency=plan.concurrency)
            settings = msgspec.structs.replace(settings, limits=limits)
        self._host = EngineHost(settings)
        self._plan = plan
        self._is_started = False

    async def stream(self, items: Iterator[BatchItem]) -> AsyncIterator[BatchResult]:
        """See `BatchExecutor`."""
        from rerankd.contract.call_context import CallContext, usable_request_id
        from rerankd.rpc import convert
        from rerankd_client.batch import decode_batch_item
        from rerankd_client.requests import encode_batch_item, encode_batch_options

        if not self._is_started:
            self._is_started = True
            await self._host.start()
            await self._host.local.start()
            await self._host.local.wait_loaded()
        opening = encode_batch_options(self._plan.defaults, ordered=False, max_concurrency=self._plan.concurrency)

        async def requests() -> AsyncIterator[Any]:
            yield convert.batch_rerank_request_from_proto(opening)
            for item in items:
                yield convert.batch_rerank_request_from_proto(encode_batch_item(item))

        call = CallContext(usable_request_id(None), transport="in_process")
        responses: Any = self._host.services.rerank_service_streams.batch_rerank(requests(), call)
        async with aclosing(responses):
            async for response in responses:
                message = convert.batch_rerank_response_to_proto(response)
                if message.WhichOneof("message") == "item":
                    yield decode_batch_item(message.item, message.item.item_index)

    async def close(self) -> None:
        """Stop the engine."""
        await self._host.close()
