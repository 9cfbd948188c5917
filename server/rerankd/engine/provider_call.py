"""From the caller's request to the call of a provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rerankd import contract
from rerankd.contract import RerankRequest
from rerankd.engine.documents import prior_scores
from rerankd_adapters.base import ProviderCall, Truncation

_TRUNCATIONS: Final = {
    contract.Truncation.UNSPECIFIED: None,
    contract.Truncation.NONE: Truncation.NONE,
    contract.Truncation.END: Truncation.END,
    contract.Truncation.START: Truncation.START,
}


def provider_call_of(
    request: RerankRequest, model: str, documents: Sequence[str], deadline_s: float | None
) -> ProviderCall:
    """Say in a provider's terms what `request` asks for.

    Args:
        request: As it came.
        model: The provider's own name of the model.
        documents: Texts of the request's documents, in its order.
        deadline_s: `time.monotonic()` at which the caller stops waiting.
    """
    return ProviderCall(
        model=model,
        query=request.query,
        documents=documents,
        top_n=request.top_n,
        truncation=_TRUNCATIONS[request.truncation],
        max_tokens_per_doc=request.max_tokens_per_doc,
        max_passages_per_doc=request.max_chunks_per_doc or 1,
        instruction=request.instruction,
        prior_scores=prior_scores(request),
        priority=request.priority or 0,
        deadline_s=deadline_s,
        include_details=bool(request.include_details),
        options=request.provider_options or {},
    )
