"""Validates requests; reports all violations at once, each with its field path."""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest
from rerankd.contract.suggestions import clearly_meant
from rerankd.engine.limits import RequestLimits, too_many_documents
from rerankd.engine.name_checks import check_names
from rerankd.engine.rendering import are_strings, is_blank
from rerankd.engine.time_slice import TimeSlice

MAX_PRIORITY = 999
MAX_DEPTH = 32
"""Nesting of objects and lists, close to protobuf's own limit."""

_MOST_COMPARED: Final = 100
"""Names of options that are compared with that of a missing field."""
_CONTAINERS: Final = frozenset({dict, list})
_TEXTS_ONLY: Final = {str}
_IMAGE_HEAD: Final = re.compile(r"data:image/[a-z0-9.+-]+;base64", re.IGNORECASE)


async def check_request(request: RerankRequest, limits: RequestLimits, *, allows_blank: bool = False) -> bool:
    """Check `request` against the contract and the limits; the event loop is yielded every millisecond of objects.

    Args:
        request: The decoded request.
        limits: Limits of this server.
        allows_blank: Whether documents may be blank.

    Returns:
        Whether every document is a string, and none is blank.

    Raises:
        ServiceError: `TOO_MANY_DOCUMENTS`, or `INVALID_REQUEST` with every violation.
    """
    count = len(request.documents)
    if count > limits.max_documents:
        raise too_many_documents(limits.max_documents, count=count)
    violations = check_names(request, limits)
    violations += _check_query(request, limits)
    is_plain = count > 0 and are_strings(request.documents) and _are_good(request.documents, limits.max_document_chars)
    if not is_plain:
        violations += await _check_documents(request, limits, allows_blank=allows_blank)
    violations += _check_numbers(request)
    violations += _check_fields(request.provider_options, "provider_options", limits)
    if violations:
        raise invalid_request(violations[:MAX_VIOLATIONS])
    return is_plain


def _misspelt(request: RerankRequest, name: str) -> str:
    """Name the option that was probably meant to be a missing field; dialects pass unknown fields on as options."""
    for key in islice(request.provider_options or (), _MOST_COMPARED):
        if clearly_meant(key, [name]):
            return f"; {key[:50]} is not a field, did you mean {name}?"
    return ""


def _check_query(request: RerankRequest, limits: RequestLimits) -> list[FieldViolation]:
    if not request.query_image and (not request.query or request.query.isspace()):
        return [FieldViolation("query", f"query is required for rerank{_misspelt(request, 'query')}")]
    if len(request.query) > limits.max_query_chars:
        text = f"query is {len(request.query)} characters long; this server takes {limits.max_query_chars}"
        return [FieldViolation("query", text)]
    if len(request.instruction) > limits.max_query_chars:
        text = f"instruction is {len(request.instruction)} characters long; this server takes {limits.max_query_chars}"
        return [FieldViolation("instruction", text)]
    return _check_image(request.query_image, "query_image", limits) if request.query_image else []


async def _check_documents(
    request: RerankRequest, limits: RequestLimits, *, allows_blank: bool
) -> list[FieldViolation]:
    if not request.documents:
        return [FieldViolation("documents", f"documents are required for rerank{_misspelt(request, 'documents')}")]
    max_chars = limits.max_document_chars
    violations: list[FieldViolation] = []
    time_slice = TimeSlice()
    for index, document in enumerate(request.documents):
        if time_slice.is_over():
            await time_slice.rest()
        text = document if isinstance(document, str) else document.text
        if not isinstance(document, str) and document.image:
            violations += _check_image(document.image, f"documents[{index}].image", limits)
        if len(text) > max_chars:
            rule = f"documents[{index}].text is {len(text)} characters long; this server takes {max_chars}"
            violations.append(FieldViolation(f"documents[{index}].text", rule))
        elif not allows_blank and is_blank(document):
            rule = f"documents[{index}].text is required for rerank"
            violations.append(FieldViolation(f"documents[{index}].text", rule))
        elif not isinstance(document, str):
            violations += _check_fields(document.fields, f"documents[{index}].fields", limits)
            if not math.isfinite(document.prior_score or 0.0):
                field = f"documents[{index}].prior_score"
                violations.append(FieldViolation(field, f"{field} must be a finite number"))
        if len(violations) >= MAX_VIOLATIONS:
            break
    return violations


def _are_good(texts: Sequence[str], max_chars: int) -> bool:
    """Whether every text is non-blank and at most `max_chars` long."""
    return all(texts) and max(map(len, texts)) <= max_chars and not any(map(str.isspace, texts))


def _check_fields(value: dict[str, Any] | None, field: str, limits: RequestLimits) -> list[FieldViolation]:
    """Check how deep objects and lists are nested, how many values they have, and the length of keys and texts."""
    if not value:
        return []
    count = chars = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        items: list[Any] = []
        for each in level:
            items += each.values() if isinstance(each, dict) else each
            chars += sum(map(len, each)) if isinstance(each, dict) else 0
        count += len(items)
        if count > limits.max_document_values:
            return [FieldViolation(field, f"{field} has more than {limits.max_document_values} values")]
        types = set(map(type, items))
        chars += sum(map(len, items if types == _TEXTS_ONLY else [each for each in items if type(each) is str]))
        if types.isdisjoint(_CONTAINERS):
            break
        level = [each for each in items if type(each) in _CONTAINERS]
    else:
        return [FieldViolation(field, f"{field} is nested more than {MAX_DEPTH} levels deep")]
    if chars > limits.max_document_chars:
        rule = f"{field} has {chars} characters of keys and texts; this server takes {limits.max_document_chars}"
        return [FieldViolation(field, rule)]
    return []


def _check_image(image: str, field: str, limits: RequestLimits) -> list[FieldViolation]:
    """Check the syntax of an image URL; the image itself is not decoded."""
    if len(image) > limits.max_image_chars:
        rule = f"{field} is {len(image)} characters long; this server takes {limits.max_image_chars}"
    elif image.startswith("data:"):
        head, comma, content = image.partition(",")
        if comma and _IMAGE_HEAD.fullmatch(head) and _is_base64(content):
            return []
        rule = f"{field} must be a data: URL of an image in base64, as data:image/png;base64,iVBORw0KGgo="
    elif _is_https(image):
        return []
    else:
        rule = f"{field} must be a data: URL of an image in base64, or an https: URL"
    return [FieldViolation(field, rule)]


def _is_base64(content: str) -> bool:
    try:
        return bool(binascii.a2b_base64(content, strict_mode=True))
    except ValueError:
        return False


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:
        return False


def _check_numbers(request: RerankRequest) -> list[FieldViolation]:
    numbers = (request.max_chunks_per_doc, request.max_tokens_per_doc, request.priority, request.score_threshold)
    if numbers == _NO_NUMBERS and (request.top_n is None or request.top_n >= 1):
        return []
    violations = [
        FieldViolation(name, f"{name} must be at least 1, was {value}" if name != "top_n" else _TOP_N_RULE)
        for name in ("top_n", "max_chunks_per_doc", "max_tokens_per_doc")
        if (value := getattr(request, name)) is not None and value < 1
    ]
    if request.priority is not None and not 0 <= request.priority <= MAX_PRIORITY:
        rule = f"priority must be 0 to {MAX_PRIORITY}, was {request.priority}"
        violations.append(FieldViolation("priority", rule))
    if request.score_threshold is not None and not math.isfinite(request.score_threshold):
        violations.append(FieldViolation("score_threshold", "score_threshold must be a finite number"))
    return violations


_TOP_N_RULE = "top_n must be at least 1"
_NO_NUMBERS: Final = (None, None, None, None)
