"""What a run keeps of query, documents and parameters under one policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.runs.run import Capture, LeftOut, RunDetails, RunDocument
from rerankd.runs.settings import RunSettings
from rerankd.runs.stored_details import DocumentColumns, StoredDetails
from rerankd.runs.text_hash import hash_of
from rerankd.telemetry.calls.call_record import ScoredTexts

CAPTURE: Final = "runs.capture"
MAX_RUN: Final = "runs.max_run_kb"
GUARDRAILS: Final = "access.guardrails"
_PARAMETERS: Final = (
    "top_n", "score_threshold", "rank_fields", "return_documents", "max_chunks_per_doc", "max_tokens_per_doc",
    "truncation", "normalization", "cache", "documents_ranked", "priority", "fallbacks", "include_details",
)  # fmt: skip
_values_of: Final = attrgetter(*_PARAMETERS)
_DEFAULTS: Final = _values_of(RerankRequest())


class TextCapture:
    """Keeps a part of a call's texts. Safe for concurrent threads.

    Args:
        capture: How much of them.
        settings: Lengths for `truncated`.
        too_large: What of a call is left out because it takes more than `max_run_kb`; `None` for nothing.
    """

    def __init__(self, capture: Capture, settings: RunSettings, too_large: LeftOut | None = None) -> None:
        self.capture: Capture = capture
        """The policy."""
        self.most = None if capture == "full" else settings.max_documents
        """Documents and results at most; `None`: all."""
        self._chars = {"truncated": settings.max_chars, "full": None}.get(capture, 0)
        """Characters kept of a text; `None`: all."""
        self._has_texts = capture in ("truncated", "full")
        self._is_full = capture == "full"
        self._too_large: LeftOut | None = too_large

    def details_of(self, texts: ScoredTexts, response: RerankResponse | None) -> StoredDetails:
        """Return what is kept of a call's texts; the rest of the details is unset."""
        details = StoredDetails(
            query=self._kept(texts.query),
            query_hash=self._hash_of_cut(texts.query),
            scored_documents=len(texts.indices),
            parameters=self._parameters(texts.request),
        )
        if self._too_large == "texts":
            details.left_out = {"texts": MAX_RUN}
        if self.capture != "none":
            indices, positions = self._ranked(texts, response)
            if {*map(type, texts.request.documents)} <= {str}:
                details.document_columns = self._columns(indices, [texts.texts[position] for position in positions])
            else:
                keep = self._keep_whole if self._is_full else self._keep_cut
                keep(details, texts, zip(indices, positions, strict=True))
            self._keep_others(details, texts)
        return details

    def _ranked(self, texts: ScoredTexts, response: RerankResponse | None) -> tuple[Sequence[int], Sequence[int]]:
        """Return index and position of each document to keep: the best ranked first, then, with `full`, the others."""
        scored, most = texts.indices, self.most
        position_of: Sequence[int] | dict[int, int] = scored
        if not isinstance(scored, range):  # of all documents, so that positions equal indices
            position_of = {index: position for position, index in enumerate(scored)}
        ranked = (
            [] if response is None else [each.index for each in response.results[:most] if each.index in position_of]
        )
        if not ranked or (most is None and len(ranked) < len(scored)):
            seen = set(ranked)
            ranked += [index for index in scored if index not in seen][:most]
        return ranked, ranked if position_of is scored else [position_of[index] for index in ranked]

    def _columns(self, indices: Sequence[int], texts: Sequence[str]) -> DocumentColumns:
        """Keep documents that are text alone."""
        most, chars = self._chars, [*map(len, texts)]
        if most is None or max(chars, default=0) <= most:
            return DocumentColumns([*indices], [*texts])
        hashes = [hash_of(text) if count > most else "" for text, count in zip(texts, chars, strict=True)]
        return DocumentColumns([*indices], [text[:most] for text in texts], hashes, chars)

    def _keep_cut(self, details: RunDetails, texts: ScoredTexts, ranked: Iterable[tuple[int, int]]) -> None:
        """Keep hashes or beginnings of texts; of anything else only that there was some."""
        documents, has_more = texts.request.documents, False
        for index, position in ranked:
            text, document = texts.texts[position], documents[index]
            kept = text[: self._chars]
            made = RunDocument(index, kept, "" if len(kept) == len(text) else hash_of(text), "", len(text))
            if not isinstance(document, str):
                made.id = document.id
                made.prior_score = document.prior_score if self._has_texts else None
                has_more = has_more or bool(document.fields or document.metadata)
            details.documents.append(made)
        if has_more:
            details.left_out["fields"] = CAPTURE

    def _keep_whole(self, details: RunDetails, texts: ScoredTexts, ranked: Iterable[tuple[int, int]]) -> None:
        """Keep every document as it came; of those that guardrails have changed the text that they left."""
        documents = texts.request.documents
        for index, position in ranked:
            text, document = texts.texts[position], documents[index]
            if index not in texts.changed_indices:
                details.documents.append(_whole(index, text, document))
                continue
            made = RunDocument(index, text, chars=len(text))
            if not isinstance(document, str):
                made.id, made.prior_score = document.id, document.prior_score
                if document.image:
                    details.left_out["images"] = GUARDRAILS
            details.documents.append(made)

    def _keep_others(self, details: RunDetails, texts: ScoredTexts) -> None:
        """Keep blank documents and images of a request that is kept whole; of another, that there were images."""
        request = texts.request
        if not self._is_full:
            if texts.images is not None or request.query_image:
                details.left_out["images"] = CAPTURE
            return
        for index in texts.blank_indices:
            document = request.documents[index]
            details.blank_documents.append(
                _whole(index, document if isinstance(document, str) else document.text, document)
            )
        details.query_image = request.query_image
        if self._too_large == "images":
            details.left_out["images"] = MAX_RUN
            details.query_image = ""
            for kept in details.documents:
                kept.image = ""

    def _kept(self, text: str) -> str:
        return hash_of(text) if self.capture == "hashes" else text[: self._chars]

    def _hash_of_cut(self, text: str) -> str:
        """Return the hash of a text that is kept in part; empty for one that is kept whole, or not at all."""
        is_cut = self.capture == "truncated" and len(text[: self._chars]) < len(text)
        return hash_of(text) if is_cut else ""

    def _parameters(self, request: RerankRequest) -> dict[str, Any]:
        found = {}
        if (values := _values_of(request)) != _DEFAULTS:  # most requests set none
            found = {
                name: value for name, value, unset in zip(_PARAMETERS, values, _DEFAULTS, strict=True) if value != unset
            }
        if self._has_texts and request.instruction:
            found["instruction"] = self._kept(request.instruction)
            if cut := self._hash_of_cut(request.instruction):
                found["instruction_hash"] = cut
        if self._is_full and request.provider_options:
            found["provider_options"] = request.provider_options
        return found


def sizes_of(texts: ScoredTexts) -> tuple[int, int]:
    """Return how much `full` would keep of a call: texts, fields and metadata; and its images. In bytes, about."""
    images, request = images_of(texts), texts.request
    content = len(texts.query) + sum(map(len, texts.texts))
    if objects := [document for document in request.documents if not isinstance(document, str)]:
        content += max(0, len(msgspec.json.encode(objects)) - images)
    if request.provider_options:
        content += len(msgspec.json.encode(request.provider_options))
    return content, images


def images_of(texts: ScoredTexts) -> int:
    """Return how many characters the images of a call have."""
    found = len(texts.request.query_image)
    return found if texts.images is None else found + sum(len(image) for image in texts.images if image)


def has_texts_alone(request: RerankRequest) -> bool:
    """Whether nothing but the number and the length of its texts decides how long it takes to write a request down."""
    return not request.provider_options and set(map(type, request.documents)) <= {str}


def _whole(index: int, text: str, document: str | Document) -> RunDocument:
    if isinstance(document, str):
        return RunDocument(index, text, chars=len(text))
    return RunDocument(
        index,
        text,
        "",
        document.id,
        len(text),
        document.fields,
        document.prior_score,
        None if document.text == text else document.text,
        document.metadata,
        document.image,
    )
