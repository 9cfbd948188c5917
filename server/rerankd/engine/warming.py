"""Implements `WarmDocuments`: document vectors computed ahead by the embedded models that keep them."""

from __future__ import annotations

import asyncio
from typing import Final

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, deadline_exceeded
from rerankd.contract.wording import counted
from rerankd.engine.admission import Admission
from rerankd.engine.limits import RequestLimits
from rerankd.engine.models import Models
from rerankd.engine.rendering import render
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.failures import service_error
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.scoring.provider_call import provider_call_of
from rerankd.engine.validation import check_request
from rerankd_adapters.base import AdapterError
from rerankd_adapters.warming import WarmingProvider, WarmReply

_QUERY: Final = "-"
"""Stands for the query in the checks that a request to rerank has to pass."""


def rerank_request_of(request: messages.WarmDocumentsRequest) -> messages.RerankRequest:
    """Return a request to rerank the same documents, with which the two share checks and limits."""
    return messages.RerankRequest(
        model=request.model,
        query=_QUERY,
        documents=request.documents,
        rank_fields=request.rank_fields,
        max_chunks_per_doc=request.max_chunks_per_doc,
        max_tokens_per_doc=request.max_tokens_per_doc,
        truncation=request.truncation,
    )


class Warming:
    """Computes vectors of documents. Task-safe within one event loop.

    The scheduler of the embedded models does it below all other calls, so routing, its limits and its statistics of
    latency are passed by.

    Args:
        models: Resolves model names.
        limits: Limits of request size, and the deadline of a call that sets none.
        admission: Has admitted the call; bounds the share of one provider.
    """

    def __init__(self, models: Models, limits: RequestLimits, admission: Admission) -> None:
        self._models = models
        self._limits = limits
        self._admission = admission

    async def run(self, request: messages.WarmDocumentsRequest, call: CallContext) -> messages.WarmDocumentsResponse:
        """Answer one call; see `Engine.warm_documents`."""
        as_rerank = rerank_request_of(request)
        await check_request(as_rerank, self._limits, allows_blank=True)
        group = self._models.group(request.model)
        deployment, provider = _find_provider(group)
        remaining_s = call.remaining_s()
        timeout_s = self._limits.default_timeout_s if remaining_s is None else remaining_s
        self._admission.hold(group.bulkhead)
        try:
            async with asyncio.timeout(timeout_s):
                rendered = await render(as_rerank, omits_blank=True)
                reply = WarmReply()
                if rendered.texts:
                    info = group.info()
                    provider_call = provider_call_of(
                        rendered, group.name, info, top_n=None, deadline_s=None, options={}
                    )
                    reply = await provider.warm(provider_call)
        except TimeoutError:
            raise deadline_exceeded() from None
        except AdapterError as error:
            raise service_error(error, deployment, rendered.indices) from error
        finally:
            self._admission.release(group.bulkhead)
        blank = len(rendered.blank_indices)
        return messages.WarmDocumentsResponse(
            model=group.name,
            warmed=reply.warmed,
            already_warm=reply.already_warm,
            skipped=reply.skipped + blank,
            warnings=[*([f"{counted(blank, 'document')} without content skipped"] if blank else []), *reply.warnings],
        )


def _find_provider(group: ModelGroup) -> tuple[Deployment, WarmingProvider]:
    for deployment in group.deployments:
        if isinstance(deployment.provider, WarmingProvider):
            return deployment, deployment.provider
    message = f"{group.name} keeps no document vectors; local/default and the embedded encoders do"
    raise ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": group.name, "field": "model"},
        violations=[FieldViolation("model", message)],
    )
