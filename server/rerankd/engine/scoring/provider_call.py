"""From the caller's request to the call of a provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.engine.rendering import are_strings, document_images, document_objects, prior_scores
from rerankd.engine.validation import MAX_VIOLATIONS
from rerankd_adapters.base import ModelInfo, ProviderCall, Truncation

_TRUNCATIONS: Final = {
    messages.Truncation.UNSPECIFIED: None,
    messages.Truncation.NONE: Truncation.NONE,
    messages.Truncation.END: Truncation.END,
    messages.Truncation.START: Truncation.START,
}


def provider_call_of(
    request: RerankRequest, name: str, info: ModelInfo, documents: Sequence[str], deadline_s: float | None
) -> ProviderCall:
    """Say in a provider's terms what `request` asks for.

    Args:
        request: As it came.
        name: Public name of the model that is to be called.
        info: What it takes.
        documents: Texts of the request's documents, in its order.
        deadline_s: `time.monotonic()` at which the caller stops waiting.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` when a document has an image and the model takes none.
    """
    facts = info.capabilities
    rank_fields: Sequence[str] = ()
    images = objects = priors = None
    if not are_strings(request):
        images = document_images(request)
        if images is not None and not facts.takes_images:
            raise _takes_no_images(name, images)
        rank_fields, objects = document_objects(request)
        priors = prior_scores(request)
    return ProviderCall(
        model=info.name,
        query=request.query,
        documents=documents,
        objects=objects,
        rank_fields=rank_fields,
        images=images,
        top_n=request.top_n,
        truncation=_TRUNCATIONS[request.truncation],
        max_tokens_per_doc=request.max_tokens_per_doc,
        max_passages_per_doc=request.max_chunks_per_doc or 1,
        instruction=request.instruction if facts.takes_instruction else "",
        prior_scores=priors,
        priority=request.priority or 0,
        deadline_s=deadline_s,
        include_details=bool(request.include_details),
        options=request.provider_options or {},
    )


def _takes_no_images(name: str, images: Sequence[str | None]) -> ServiceError:
    fields = [f"documents[{position}].image" for position, image in enumerate(images) if image is not None]
    message = f"{name} takes no images; ListModels says which models do (takes_images)"
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        f"{fields[0]}: {message}",
        metadata={"model": name, "field": fields[0]},
        violations=[FieldViolation(field, f"{field}: {message}") for field in fields[:MAX_VIOLATIONS]],
    )
