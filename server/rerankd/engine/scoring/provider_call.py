"""Converts a rendered request to a provider call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, Reason, ServiceError
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.time_slice import TimeSlice
from rerankd_adapters.base import Capabilities, ModelInfo, ProviderCall, Truncation

_TRUNCATIONS: Final = {
    messages.Truncation.UNSPECIFIED: None,
    messages.Truncation.NONE: Truncation.NONE,
    messages.Truncation.END: Truncation.END,
    messages.Truncation.START: Truncation.START,
}


def provider_call_of(
    rendered: RenderedRequest,
    name: str,
    info: ModelInfo,
    *,
    top_n: int | None,
    deadline_s: float | None,
    options: Mapping[str, Any],
) -> ProviderCall:
    """Convert a rendered request to a provider call.

    Args:
        rendered: Query and documents, n >= 1.
        name: Public name of the model.
        info: The model.
        top_n: Number of results needed; `None` for all.
        deadline_s: `time.monotonic()` of the caller's deadline; `None` without one.
        options: The `provider_options` that the model takes.

    Raises:
        ServiceError: `CAPABILITY_UNSUPPORTED` if the model is a chat model, or if the query or a document has an image
            and the model takes none there.
    """
    capabilities, request = info.capabilities, rendered.request
    if info.is_chat:
        raise _is_chat(name)
    if rendered.images is not None and not capabilities.takes_images:
        raise takes_no_images(name, rendered)
    if request.query_image and not capabilities.takes_query_images:
        raise takes_no_query_image(name)
    return ProviderCall(
        model=info.name,
        query=rendered.query,
        query_image=request.query_image,
        documents=rendered.texts,
        objects=rendered.objects,
        rank_fields=rendered.rank_fields,
        images=rendered.images,
        top_n=top_n,
        truncation=_truncation(request.truncation, capabilities),
        max_tokens_per_doc=request.max_tokens_per_doc,
        max_passages_per_doc=request.max_chunks_per_doc or 1,
        instruction=request.instruction if capabilities.takes_instruction else "",
        prior_scores=rendered.prior_scores,
        documents_ranked=request.documents_ranked,
        priority=request.priority or 0,
        deadline_s=deadline_s,
        include_details=bool(request.include_details),
        options=options,
    )


def _truncation(asked: messages.Truncation, capabilities: Capabilities) -> Truncation | None:
    """Omit the model's default: many providers have no parameter for it."""
    wanted = _TRUNCATIONS[asked]
    return None if wanted is Truncation.END and capabilities.truncation_default is Truncation.END else wanted


async def document_contents(call: ProviderCall) -> Sequence[str | bytes]:
    """Return the scored content of each document of `call`, for cache keys; yield the event loop every millisecond.

    A document of text only is returned as that `str`, not copied. One with an image or fields is returned as `bytes`,
    which are equal for two documents only if their text, image and scored fields are. A `str` never equals `bytes`.
    """
    if call.objects is None and call.images is None:
        return call.documents
    objects = call.objects or [None] * len(call.documents)
    images = call.images or [None] * len(call.documents)
    time_slice = TimeSlice()
    contents: list[str | bytes] = []
    for text, image, fields in zip(call.documents, images, objects, strict=True):
        if time_slice.is_over():
            await time_slice.rest()
        is_text = image is None and fields is None
        contents.append(text if is_text else _content(text, image, fields, call.rank_fields))
    return contents


def _content(text: str, image: str | None, fields: Mapping[str, Any] | None, names: Sequence[str]) -> bytes:
    scored = None if fields is None else [(name, fields[name]) for name in names]
    return msgspec.json.encode((text, image, scored))


def _is_chat(name: str) -> ServiceError:
    message = (
        f"{name} is a chat model, which does not rerank by itself; define a reranker in the settings,"
        f" such as rerankers.my-judge: {{strategy: llm-judge, config: {{model: {name}}}}}, and send model: my-judge"
    )
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": name, "field": "model"},
        violations=[FieldViolation("model", message)],
    )


def takes_no_query_image(name: str) -> ServiceError:
    """Build the error of a query with an image for a model that takes none."""
    message = f"query_image: {name} takes no image as query; ListModels says which models do (takes_query_images)"
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        message,
        metadata={"model": name, "field": "query_image"},
        violations=[FieldViolation("query_image", message)],
    )


def takes_no_images(name: str, rendered: RenderedRequest) -> ServiceError:
    """Build the error of documents with images for a model that takes none."""
    pairs = zip(rendered.indices, rendered.images or (), strict=True)
    fields = [f"documents[{index}].image" for index, image in pairs if image is not None]
    message = f"{name} takes no images; the list of models says which do (takes_images)"
    return ServiceError(
        Reason.CAPABILITY_UNSUPPORTED,
        f"{fields[0]}: {message}",
        metadata={"model": name, "field": fields[0]},
        violations=[FieldViolation(field, f"{field}: {message}") for field in fields[:MAX_VIOLATIONS]],
    )
