"""Checks of the names in a request, before anything is looked up by them or keeps them."""

from __future__ import annotations

from collections.abc import Iterable

from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest
from rerankd.contract.wording import verb_of
from rerankd.engine.limits import RequestLimits


def check_names(request: RerankRequest, limits: RequestLimits) -> list[FieldViolation]:
    """Return a violation for each name that is too long or empty, and for each list with too many names.

    Args:
        request: As it was decoded.
        limits: Of this server.
    """
    most = limits.max_name_chars
    violations = _too_long("model", request.model, most) if len(request.model) > most else []
    if len(request.user) > most:
        violations += _too_long("user", request.user, most)
    if request.fallbacks:
        violations += _check_list("fallbacks", request.fallbacks, limits.max_fallbacks, most)
    if request.rank_fields:
        violations += _check_list("rank_fields", request.rank_fields, limits.max_rank_fields, most)
    if request.provider_options:
        violations += _check_options(request.provider_options, limits)
    return violations


def check_model_name(name: str, limits: RequestLimits) -> None:
    """Check the name of a model that is asked for alone.

    Raises:
        ServiceError: `INVALID_REQUEST` for one that is too long.
    """
    if len(name) > limits.max_name_chars:
        raise invalid_request(_too_long("model", name, limits.max_name_chars))


def _check_list(field: str, names: list[str], most_names: int, most_chars: int) -> list[FieldViolation]:
    if len(names) > most_names:
        return [_too_many(field, len(names), most_names, "names")]
    violations: list[FieldViolation] = []
    for index, name in enumerate(names):
        path = f"{field}[{index}]"
        if not name:
            violations.append(FieldViolation(path, f"{path} must not be empty"))
        elif len(name) > most_chars:
            violations += _too_long(path, name, most_chars)
    return violations[:MAX_VIOLATIONS]


def _check_options(options: Iterable[str], limits: RequestLimits) -> list[FieldViolation]:
    names = list(options)
    if len(names) > limits.max_provider_options:
        return [_too_many("provider_options", len(names), limits.max_provider_options, "keys")]
    longest = max(names, key=len)
    return (
        _too_long("provider_options", longest, limits.max_name_chars, "a key of ")
        if (len(longest) > limits.max_name_chars)
        else []
    )


def _too_long(field: str, name: str, most: int, part: str = "") -> list[FieldViolation]:
    rule = f"{part}{field} is {len(name)} characters long; this server takes {most}"
    return [FieldViolation(field, rule)]


def _too_many(field: str, count: int, most: int, what: str) -> FieldViolation:
    return FieldViolation(field, f"{field} {verb_of(field, 'has')} {count} {what}; this server takes {most}")
