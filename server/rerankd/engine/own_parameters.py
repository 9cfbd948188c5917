"""Takes parameters under the providers' own names, which callers give in `provider_options`.

Over HTTP they may be top-level fields, in the SDK keyword arguments; both are put in `provider_options`.
A name that the called model has is sent to it; a name of a field that rerankd implements itself, such as Voyage's
`top_k`, sets that field; any other is named in a warning that says which providers have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest
from rerankd.contract.suggestions import clearly_meant
from rerankd_adapters.base import ScoreSpace
from rerankd_adapters.parameter import Parameters
from rerankd_adapters.registry import contract_parameters, parameter_owners

_MOST_WARNINGS: Final = 20
_MOST_OWNERS: Final = 3
_SHOWN_CHARS: Final = 50
_NONE_MAPPED: Final[Mapping[str, str]] = {}
_CONTRACT: Final = RerankRequest.__struct_fields__


def take_contract_parameters(request: RerankRequest) -> tuple[RerankRequest, list[str]]:
    """Set the fields that providers call by another name: `top_k`, `topN`, `return_text` and the like.

    Returns:
        The request, a copy if it had such a name, and a warning for each name whose field is set too.

    Raises:
        ServiceError: `INVALID_REQUEST`, naming each value of a wrong type.
    """
    options = request.provider_options
    if not options or (known := contract_parameters()).keys().isdisjoint(options.keys()):
        return request, []
    values: dict[str, Any] = {}
    violations: list[FieldViolation] = []
    warnings: list[str] = []
    for name in known.keys() & options.keys():
        parameter, value = known[name], options[name]
        if value is None:
            continue
        if fault := parameter.fault(name, value):
            violations.append(_violation(name, fault))
        elif getattr(request, parameter.field) is None:
            values[parameter.field] = int(value) if isinstance(value, float) else value
        else:
            warnings.append(f"{name} was ignored: {parameter.field} is set too")
    if violations:
        raise invalid_request(violations)
    others = {name: value for name, value in options.items() if name not in known}
    return structs.replace(request, provider_options=others or None, **values), warnings


def select_parameters(
    model: str, parameters: Parameters, options: Mapping[str, Any], mapped: Mapping[str, str] = _NONE_MAPPED
) -> tuple[Mapping[str, Any], list[str]]:
    """Select the options that a model takes.

    Args:
        model: Public name.
        parameters: Of its API; `None` if it takes any.
        options: The call's `provider_options`.
        mapped: Names that the request's fields express too, with the warning for a model that lacks them, or none.

    Returns:
        The options to send, and a warning for each other one.

    Raises:
        ServiceError: `INVALID_REQUEST`, naming each value of a wrong type or out of range.
    """
    if parameters is None:
        return {name: value for name, value in options.items() if name not in mapped}, []
    taken: dict[str, Any] = {}
    violations: list[FieldViolation] = []
    warnings: list[str] = []
    for name, value in options.items():
        parameter = parameters.get(name)
        if value is None and (parameter is None or not parameter.is_nullable):
            continue
        fault = "" if parameter is None else parameter.fault(name, value)
        if name in mapped and (parameter is None or fault):  # another service's parameter may have the same name
            warnings.append(mapped[name])
        elif parameter is None:
            warnings.append(_unknown(name, f"{model} has no such parameter") if len(warnings) < _MOST_WARNINGS else "")
        elif fault:
            violations.append(_violation(name, fault))
        else:
            taken[name] = value
    if violations:
        raise invalid_request(violations[:MAX_VIOLATIONS])
    return taken, [warning for warning in warnings if warning]


def ignored_by_all(
    reranker: str,
    members: Sequence[Parameters],
    options: Mapping[str, Any],
    mapped: Mapping[str, str] = _NONE_MAPPED,
) -> list[str]:
    """Return a warning for each option that no member of a reranker takes.

    Args:
        reranker: Its name.
        members: Parameters of the APIs of its members; `None` for one that takes any.
        options: The call's `provider_options`.
        mapped: See `select_parameters`.
    """
    if None in members:
        return []
    warnings = [
        mapped[name] if name in mapped else _unknown(name, f"no member of {reranker} has such a parameter")
        for name, value in options.items()
        if value is not None and not any(name in known for known in members if known is not None)
    ]
    return [warning for warning in warnings if warning][:_MOST_WARNINGS]


def score_space_of(known: ScoreSpace, parameters: Parameters, options: Mapping[str, Any]) -> ScoreSpace:
    """Return the score space of a call: `LOGIT` if one of its options asks for raw scores instead of probabilities.

    Args:
        known: Score space of the model.
        parameters: Of its API.
        options: Of the call, as selected.
    """
    if not options or not parameters or known is not ScoreSpace.PROBABILITY:
        return known
    is_raw = any(
        (parameter := parameters.get(name)) is not None
        and parameter.raw_when is not None
        and value == parameter.raw_when
        for name, value in options.items()
    )
    return ScoreSpace.LOGIT if is_raw else known


def _unknown(name: str, why: str) -> str:
    shown = name[:_SHOWN_CHARS]
    if name in _CONTRACT:
        return f"{shown} was ignored: it is a field of the request, not an option"
    owners = parameter_owners().get(name)
    if owners:
        return f"{shown} was ignored: {why}; {_listed(owners)}"
    meant = clearly_meant(name, (*_CONTRACT, *parameter_owners()))
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{shown} was ignored: no provider has such a parameter{hint}"


def _listed(owners: Sequence[str]) -> str:
    if len(owners) == 1:
        return f"{owners[0]} has"
    shown = owners if len(owners) <= _MOST_OWNERS else (*owners[: _MOST_OWNERS - 1], "others")
    return f"{', '.join(shown[:-1])} and {shown[-1]} have"


def _violation(name: str, fault: str) -> FieldViolation:
    return FieldViolation(f"provider_options.{name}", fault)
