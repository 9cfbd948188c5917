"""What a caller may ask for, and the messages that ask for it.

`RerankOptions` is the one list of options: both clients, batch items and batch defaults take it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

from google.protobuf.descriptor import FieldDescriptor

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client.documents import Document, encode_document, encode_struct
from rerankd_client.enums import CacheControl, ScoreNormalization, Truncation, number_of_enum

DocumentInput = str | Document | Mapping[str, Any]
"""A text, a `Document`, or a mapping: its fields, or structured content under names of its own."""


class RerankOptions(TypedDict, total=False):
    """Everything a rerank request may say beside its query and documents. None is the same as unset."""

    model: str | None
    """Model alias, `provider/model`, or key of a named reranker. Unset: the server's default model."""
    top_n: int | None
    """How many results to return, at least 1. Unset: all."""
    query_image: str | None
    """An image that the documents are compared with, as a `data:` or `https:` URL, beside or instead of the query."""
    rank_fields: Sequence[str] | None
    """Names of the document fields that are scored, in this order."""
    return_documents: bool | None
    """Return each document with its result. Default False."""
    max_chunks_per_doc: int | None
    """Cut a long document into at most this many passages and score it by its best one. Default 1."""
    max_tokens_per_doc: int | None
    """Score at most this many tokens of each document, at least 1."""
    priority: int | None
    """0 (default) to 999; lower is served first."""
    fallbacks: Sequence[str] | None
    """Models to try, in this order, when the first fails."""
    truncation: Truncation | str | None
    """What to do with documents longer than the model's window: "none", "end" or "start"."""
    instruction: str | None
    """What "relevant" means for this query, for models that follow instructions."""
    score_threshold: float | None
    """Leave out results below this relevance score."""
    user: str | None
    """The end user on whose behalf the call is made."""
    provider_options: Mapping[str, Any] | None
    """Options of one provider or model, by its own names (JSON values)."""
    cache: CacheControl | str | None
    """How the pair-score cache is used: "bypass" or "no-store"."""
    normalization: ScoreNormalization | str | None
    """What is done to the scores before `score_threshold` and `top_n`: "none", "minmax" or "sigmoid"."""
    documents_ranked: bool | None
    """The documents come in the order of an earlier stage, best first, which may then count. Default False."""
    include_details: bool | None
    """Fill `chunks`, and `indices` of `stages`, in the response. Default False."""


class BatchDefaults(RerankOptions, total=False):
    """Values for what the items of a batch leave unset."""

    query: str


class BatchItem(RerankOptions, total=False):
    """One request of a batch. Needs `documents`, and `query` unless the defaults have one."""

    item_id: str
    """The caller's name for it; comes back as it went."""
    query: str
    """What the documents are compared with."""
    documents: Iterable[DocumentInput]
    """The documents, at least one."""


OPTION_NAMES: Final = frozenset(RerankOptions.__annotations__)
_ENUMS: Final[Mapping[str, type[Truncation | CacheControl | ScoreNormalization]]] = {
    "truncation": Truncation,
    "cache": CacheControl,
    "normalization": ScoreNormalization,
}
_KINDS: Final[Mapping[int, str]] = {
    FieldDescriptor.CPPTYPE_INT32: "an int",
    FieldDescriptor.CPPTYPE_BOOL: "a bool",
    FieldDescriptor.CPPTYPE_STRING: "a str",
}
_SCALARS: Final = OPTION_NAMES - {"rank_fields", "fallbacks", "provider_options", *_ENUMS}


def encode_request(query: str, documents: Iterable[DocumentInput], options: Mapping[str, Any]) -> pb.RerankRequest:
    """Build a rerank request.

    Args:
        query: What the documents are compared with.
        documents: The documents; a result's `index` counts from 0 in this order.
        options: `RerankOptions`.

    Raises:
        TypeError: An option does not exist, or a value has the wrong type.
        ValueError: A value is outside of what the contract can carry.
    """
    if isinstance(documents, str | Mapping):
        raise TypeError(f"documents must be a list of documents, not one {type(documents).__name__}")
    request = pb.RerankRequest()
    _set_scalar(request, "query", query)
    _encode_options(request, options)
    is_structured = bool(request.rank_fields)
    for document in documents:
        if isinstance(document, str):
            request.documents.add(text=document)  # `append` copies
        else:
            request.documents.append(encode_document(document, is_structured=is_structured))
    return request


def encode_batch_options(
    defaults: Mapping[str, Any] | None, *, ordered: bool, max_concurrency: int | None
) -> pb.BatchRerankRequest:
    """Build the first message of a batch; errors as `encode_request`."""
    options = pb.BatchOptions(ordered=ordered, max_concurrency=max_concurrency)
    if defaults:
        values = dict(defaults)
        options.defaults.CopyFrom(encode_request(values.pop("query", ""), (), values))
    return pb.BatchRerankRequest(options=options)


def encode_batch_item(item: Mapping[str, Any]) -> pb.BatchRerankRequest:
    """Build the message of one `BatchItem`; errors as `encode_request`."""
    options = dict(item)
    item_id = options.pop("item_id", "")
    query = options.pop("query", "")
    documents = options.pop("documents", ())
    request = encode_request(query, documents, options)
    return pb.BatchRerankRequest(item=pb.BatchItem(item_id=item_id, request=request))


def _encode_options(request: pb.RerankRequest, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name not in OPTION_NAMES:
            close = difflib.get_close_matches(name, OPTION_NAMES, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"there is no rerank option {name!r}{hint}")
        if value is None:
            continue
        if name in _SCALARS:
            _set_scalar(request, name, value)
        elif name in _ENUMS:
            setattr(request, name, number_of_enum(_ENUMS[name], value))
        elif name == "provider_options":
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} must be a mapping, not {type(value).__name__}")
            request.provider_options.CopyFrom(encode_struct(value))
        else:
            getattr(request, name).extend(_names(name, value))


def _set_scalar(request: pb.RerankRequest, name: str, value: object) -> None:
    """Set a field; protobuf's own errors do not name it."""
    try:
        setattr(request, name, value)
    except TypeError:
        kind = _KINDS.get(request.DESCRIPTOR.fields_by_name[name].cpp_type, "a number")
        raise TypeError(f"{name} must be {kind}, not {type(value).__name__}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _names(option: str, value: Iterable[str]) -> list[str]:
    # A bare string is iterable too, and would be sent as its letters.
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{option} must be a list of names, not one {type(value).__name__}")
    names = list(value)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"{option}[{index}] must be a str, not {type(name).__name__}")
    return names
