"""Validates requests; reports all violations at once, each with its field path."""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.name_checks import check_names
from rerankd.engine.rendering import are_strings, is_blank

MAX_PRIORITY = 999
MAX_DEPTH = 32
"""Nesting of objects and lists, close to protobuf's own limit."""
MAX_VALUES = 100_000
"""Values in the fields of one document, or in `provider_options`; rendering them takes some 50 ms."""

_CONTAINERS: Final = frozenset({dict, list})
_IMAGE_HEAD: Final = re.compile(r"data:image/[a-z0-9.+-]+;base64", re.IGNORECASE)


def check_request(request: RerankRequest, limits: RequestLimits, *, allows_blank: bool = False) -> None:
    """Check `request` against the contract and the limits.

    Args:
        request: The decoded request.
        limits: Limits of this server.
        allows_blank: Whether documents may be blank.

    Raises:
        ServiceError: `TOO_MANY_DOCUMENTS`, or `INVALID_REQUEST` with every violation.
    """
    count = len(request.documents)
    if count > limits.max_documents:
        raise _too_many_documents(count, limits.max_documents)
    violations = check_names(request, limits)
    violations += _check_query(request, limits)
    violations += _check_documents(request, limits, allows_blank=allows_blank)
    violations += _check_numbers(request)
    violations += _check_fields(request.provider_options, "provider_options")
    if violations:
        raise invalid_request(violations[:MAX_VIOLATIONS])


def _too_many_documents(count: int, allowed: int) -> ServiceError:
    message = f"{count} documents are more than the {allowed} this server takes in one call; send fewer"
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        message,
        metadata={"documents": str(count), "max_documents": str(allowed)},
        violations=[FieldViolation("documents", message)],
    )


def _check_query(request: RerankRequest, limits: RequestLimits) -> list[FieldViolation]:
    if not request.query or request.query.isspace():
        return [FieldViolation("query", "query is required for rerank")]
    if len(request.query) > limits.max_query_chars:
        text = f"query is {len(request.query)} characters long; this server takes {limits.max_query_chars}"
        return [FieldViolation("query", text)]
    if len(request.instruction) > limits.max_query_chars:
        text = f"instruction is {len(request.instruction)} characters long; this server takes {limits.max_query_chars}"
        return [FieldViolation("instruction", text)]
    return []


def _check_documents(request: RerankRequest, limits: RequestLimits, *, allows_blank: bool) -> list[FieldViolation]:
    if not request.documents:
        return [FieldViolation("documents", "documents are required for rerank")]
    max_chars = limits.max_document_chars
    if are_strings(request.documents) and _are_good(request.documents, max_chars):
        return []
    violations: list[FieldViolation] = []
    for index, document in enumerate(request.documents):
        text = document if isinstance(document, str) else document.text
        if not isinstance(document, str) and document.image:
            violations += _check_image(document.image, f"documents[{index}].image", limits)
        if len(text) > max_chars:
            rule = f"documents[{index}].text is {len(text)} characters long; this server takes {max_chars}"
            violations.append(FieldViolation(f"documents[{index}].text", rule))
        elif not allows_blank and is_blank(document):
            rule = f"document text is required for rerank at index {index}"
            violations.append(FieldViolation(f"documents[{index}].text", rule))
        elif not isinstance(document, str):
            violations += _check_fields(document.fields, f"documents[{index}].fields")
        if len(violations) >= MAX_VIOLATIONS:
            break
    return violations


def _are_good(texts: Sequence[str], max_chars: int) -> bool:
    """Whether every text is non-blank and at most `max_chars` long."""
    return all(texts) and max(map(len, texts)) <= max_chars and not any(map(str.isspace, texts))


def _check_fields(value: dict[str, Any] | None, field: str) -> list[FieldViolation]:
    """Check that objects and lists are nested at most `MAX_DEPTH` deep, and hold at most `MAX_VALUES`."""
    if not value:
        return []
    count = len(value)
    if not _CONTAINERS.isdisjoint(map(type, value.values())):
        count = 0
        level: list[object] = [value]
        for _ in range(MAX_DEPTH + 1):
            inner = [each for each in level if isinstance(each, dict | list)]
            if not inner:
                break
            level = [item for each in inner for item in (each.values() if isinstance(each, dict) else each)]
            count += len(level)
            if count > MAX_VALUES:
                break
        else:
            return [FieldViolation(field, f"{field} is nested more than {MAX_DEPTH} levels deep")]
    return [FieldViolation(field, f"{field} has more than {MAX_VALUES} values")] if count > MAX_VALUES else []


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
