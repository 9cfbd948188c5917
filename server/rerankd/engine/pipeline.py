"""A call's path, from the decoded request to the response."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from rerankd import contract
from rerankd.contract import RerankRequest, RerankResponse
from rerankd.domain import CallContext
from rerankd.engine import batch, catalog
from rerankd.engine.call_log import log_answer, log_failure
from rerankd.engine.dispatch import FALLBACK_REASONS, dispatch
from rerankd.engine.documents import document_texts
from rerankd.engine.limits import Admission, RequestLimits
from rerankd.engine.merge import join, rank
from rerankd.engine.planner import plan_chunks
from rerankd.engine.provider_call import provider_call_of
from rerankd.engine.response import Answered, build_response
from rerankd.engine.router import Router, Target
from rerankd.engine.validation import check_request
from rerankd.errors import Code, Reason, ServiceError


class Engine:
    """What both transports call. Safe for any number of tasks of one event loop."""

    def __init__(self, router: Router, limits: RequestLimits) -> None:
        self._router = router
        self._limits = limits
        self._admission = Admission(limits.max_concurrent_calls)

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        """Score every document of `request` and return the best, best first.

        Raises:
            ServiceError: What the caller should know of the failure.
        """
        started_s = time.monotonic()
        try:
            response = await self._rerank(request, call, started_s)
        except ServiceError as error:
            log_failure(call, request, error.reason, error.code, started_s)
            raise
        except asyncio.CancelledError:
            log_failure(call, request, *_cancel_cause(call), started_s)
            raise
        log_answer(call, request, response, started_s)
        return response

    async def _rerank(self, request: RerankRequest, call: CallContext, started_s: float) -> RerankResponse:
        with self._admission.enter():
            check_request(request, self._limits)
            targets = self._resolve(request)
            answered = await self._first_answer(targets, request, call)
            reply = answered.reply
            ranking = rank(reply.indices, reply.scores, request.top_n, request.score_threshold)
            return build_response(request, call, answered, ranking, started_s)

    async def list_models(self, request: contract.ListModelsRequest, _call: CallContext) -> contract.ListModelsResponse:
        """List a page of the models that can be named, ordered by name.

        Raises:
            ServiceError: `INVALID_REQUEST` for a bad page size or token.
        """
        return catalog.list_models(self._router, request)

    async def get_model(self, request: contract.GetModelRequest, _call: CallContext) -> contract.GetModelResponse:
        """Return one model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`.
        """
        return catalog.get_model(self._router, request)

    def batch_rerank(
        self, requests: AsyncIterator[contract.BatchRerankRequest], call: CallContext
    ) -> AsyncIterator[contract.BatchRerankResponse]:
        """Rerank a stream of items, reading no faster than the answers are taken."""
        return batch.run_batch(self.rerank, requests, call, self._limits.batch_concurrency)

    def _resolve(self, request: RerankRequest) -> list[Target]:
        targets = [self._router.resolve(request.model)]
        for index, name in enumerate(request.fallbacks):
            targets.append(self._router.resolve(name, f"fallbacks[{index}]"))
        return targets

    async def _first_answer(self, targets: Sequence[Target], request: RerankRequest, call: CallContext) -> Answered:
        """Call the targets in order, the whole request each time, until one answers."""
        documents = document_texts(request)
        failures: list[ServiceError] = []
        for target in targets:
            try:
                provider_call = provider_call_of(request, target, documents, call.deadline_s)
                chunks = plan_chunks(target.info.capabilities, target.name, request.query, documents)
                answers = await dispatch(target, provider_call, chunks, call.remaining_s())
            except ServiceError as error:
                if error.reason not in FALLBACK_REASONS:
                    raise
                failures.append(error)
                continue
            reply = join([(answer.chunk, answer.reply) for answer in answers])
            warnings = [*_warnings(target, request), *(f"fell back: {failure}" for failure in failures)]
            return Answered(target=target, chunks=answers, reply=reply, warnings=warnings)
        raise _all_failed(failures)


def _cancel_cause(call: CallContext) -> tuple[Reason, Code]:
    """Tell a caller who went away from a transport that ended the call at its deadline."""
    remaining_s = call.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        return Reason.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED
    return Reason.CANCELLED, Code.CANCELLED


def _warnings(target: Target, request: RerankRequest) -> list[str]:
    warnings = []
    capabilities = target.info.capabilities
    if request.instruction and not capabilities.takes_instruction:
        warnings.append(f"instruction was ignored: {target.name} does not follow instructions")
    if request.score_threshold is not None and not capabilities.score_space.is_absolute:
        warnings.append(f"score_threshold: scores of {target.name} compare within one response only")
    return warnings


def _all_failed(failures: Sequence[ServiceError]) -> ServiceError:
    last = failures[-1]
    if len(failures) == 1:
        return last
    said = "; ".join(str(failure) for failure in failures)
    return ServiceError(
        last.reason if all(failure.reason == last.reason for failure in failures) else Reason.PROVIDER_UNAVAILABLE,
        f"all {len(failures)} models failed: {said}",
        metadata={f"failure_{index}": str(failure) for index, failure in enumerate(failures)},
        retry_after_s=min((f.retry_after_s for f in failures if f.retry_after_s is not None), default=None),
    )
