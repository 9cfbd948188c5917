"""Top-level fields of a body that its dialect does not have: parameters under a provider's own names.

They become `provider_options`, so that the engine sends them, sets the field that they mean, or warns about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.gateway.translation.parameter_rules import passed_parameters, refused_parameters
from rerankd_adapters.registry import parameter_owners

_MOST_BYTES: Final = 65_536
"""Longest value of a name that no provider is known to have; servers that take any parameter take small ones."""
_decode_value: Final = msgspec.json.Decoder().decode


def take_own_fields(
    request: messages.RerankRequest, keys: Mapping[str, msgspec.Raw], body_type: type[msgspec.Struct]
) -> tuple[tuple[str, ...], list[str]]:
    """Add the fields that `body_type` does not have to `provider_options`, which win over them.

    Returns:
        The names that were added, and a warning for each value that is too long to be a parameter.
    """
    known = body_type.__struct_encode_fields__
    names = [name for name in keys if name not in known]
    if not names:
        return (), []
    warnings: list[str] = []
    values: dict[str, Any] = {}
    for name in names:
        raw = memoryview(keys[name])
        if raw.nbytes > _MOST_BYTES and name not in parameter_owners():
            warnings.append(f"{name[:50]} was ignored: no provider has such a parameter")
        else:
            values[name] = _decode_value(raw)
    request.provider_options = {**values, **(request.provider_options or {})}
    return tuple(values), warnings


def take_passed_parameters(
    dialect: str, request: messages.RerankRequest, keys: Mapping[str, msgspec.Raw]
) -> dict[str, Any]:
    """Add the parameters of a dialect's own service to `provider_options`, whether the dialect reads them or not.

    Strings that differ from an accepted one in case only are spelt as the service does.

    Returns:
        The values that were added, by name.

    Raises:
        ServiceError: `INVALID_REQUEST`, naming each impossible value and each parameter that the dialect refuses.
    """
    declared, refused = passed_parameters(dialect), refused_parameters(dialect)
    if keys.keys().isdisjoint(declared) and keys.keys().isdisjoint(refused):
        return {}
    violations = [
        FieldViolation(name, f"{name} is not taken: {why}")
        for name, why in refused.items()
        if name in keys and bytes(keys[name]) != b"null"
    ]
    values: dict[str, Any] = {}
    for name in keys:
        if name not in declared:
            continue
        parameter, value = declared[name], _decode_value(keys[name])
        if value is None and not parameter.is_nullable:
            continue
        if isinstance(value, str) and parameter.choices and value not in parameter.choices:
            value = next((choice for choice in parameter.choices if choice.lower() == value.lower()), value)
        if fault := parameter.fault(name, value):
            violations.append(FieldViolation(name, fault))
        values[name] = value
    if violations:
        raise invalid_request(violations)
    if values:
        request.provider_options = {**(request.provider_options or {}), **values}
    return values
