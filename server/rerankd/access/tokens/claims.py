"""What the claims of a verified token say of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rerankd.access.grant import Grant
from rerankd.access.model_bounds import compile_globs
from rerankd.access.scopes import ALL_SCOPES
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.contract.call_context import Caller

_MAX_IDENTITY_CHARS: Final = 300
_MAX_GROUPS: Final = 200
_MAX_GROUP_CHARS: Final = 200


class ClaimError(Exception):
    """A claim is missing or has no usable value; the text is its name in the settings."""


def grant_of(claims: Mapping[str, Any], issuer: TokenIssuer) -> Grant:
    """Return the rights of the caller of a verified token.

    Raises:
        ClaimError: The identity or a required claim.
    """
    identity = _find(claims, issuer.identity_claim)
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if not isinstance(identity, str) or not 0 < len(identity) <= _MAX_IDENTITY_CHARS or not identity.isprintable():
        raise ClaimError(issuer.identity_claim)
    for name, wanted in issuer.required_claims.items():
        if not any(compile_globs([wanted]).fullmatch(text) for text in _texts(_find(claims, name), is_split=False)):
            raise ClaimError(name)
    groups = [*issuer.groups, *_texts(_find(claims, issuer.groups_claim))]
    usable = [group for group in groups if len(group) <= _MAX_GROUP_CHARS and group.isprintable()]
    caller = Caller(f"{issuer.name}:{identity}", groups=tuple(dict.fromkeys(usable))[:_MAX_GROUPS])
    return Grant(caller, {*issuer.scopes, *_scopes_of(claims, issuer)}, issuer.models)


def _scopes_of(claims: Mapping[str, Any], issuer: TokenIssuer) -> set[str]:
    values = _texts(_find(claims, issuer.scopes_claim))
    if issuer.scope_names:
        return {scope for value in values for scope in issuer.scope_names.get(value, ())}
    return set(values).intersection(ALL_SCOPES)


def _find(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by the path that its name is; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def _texts(value: Any, *, is_split: bool = True) -> list[str]:
    """Return the texts of a claim that is a list of them, or one, which is split at spaces unless it counts whole."""
    if isinstance(value, str):
        return value.split() if is_split else [value]
    if isinstance(value, bool):
        return [str(value).lower()]
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []
