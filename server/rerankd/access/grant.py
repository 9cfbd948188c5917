"""What a caller who has been identified may do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from rerankd.access.api_key import ApiKey
from rerankd.access.model_bounds import bounds_of
from rerankd.access.scopes import Scope
from rerankd.contract.call_context import Caller
from rerankd.contract.errors import Reason, ServiceError


class Grant:
    """The rights of one caller. Immutable.

    Args:
        caller: Who it is.
        scopes: What it may do.
        models: Patterns of the names it may send as a model, `*` for any text; empty: all.
    """

    __slots__ = ("_bounds", "caller", "scopes")

    def __init__(self, caller: Caller, scopes: Iterable[str], models: Sequence[str] = ()) -> None:
        self.caller = msgspec.structs.replace(caller, models=tuple(models)) if models else caller
        self.scopes = frozenset(scopes)
        self._bounds = bounds_of(self.caller)

    @property
    def is_limited(self) -> bool:
        """Whether only some models may be used."""
        return self._bounds.is_limited

    def allows(self, *scopes: Scope) -> bool:
        """Tell whether the caller has one of the scopes."""
        return not self.scopes.isdisjoint(scopes)

    def allows_model(self, name: str) -> bool:
        """Tell whether the caller may send a name as a model."""
        return self._bounds.allows(name)

    def require(self, *scopes: Scope) -> None:
        """Check that the caller has one of the scopes.

        Raises:
            ServiceError: `INSUFFICIENT_SCOPE`.
        """
        if self.scopes.isdisjoint(scopes):
            wanted = " or ".join(scopes)
            message = f"the caller does not have the scope {wanted}; use a key or token that has, or ask for it"
            raise ServiceError(Reason.INSUFFICIENT_SCOPE, message, metadata={"scope": " ".join(scopes)})

    def require_model(self, name: str) -> None:
        """Check that the caller may send a name as a model.

        Raises:
            ServiceError: `MODEL_NOT_ALLOWED`.
        """
        self._bounds.require(name)


def grant_of(key: ApiKey) -> Grant:
    """Return the rights of a key."""
    details = key.details
    groups = (details.group,) if details.group else ()
    caller = Caller(identity=details.owner or details.name or key.id, key_id=key.id, groups=groups)
    return Grant(caller, details.scopes, details.models)
