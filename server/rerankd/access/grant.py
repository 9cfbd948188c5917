"""What a caller who has been identified may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from rerankd.access.api_key import ApiKey
from rerankd.access.scopes import Scope
from rerankd.contract.call_context import Caller
from rerankd.contract.errors import Reason, ServiceError

_SHOWN_CHARS: Final = 100


class Grant:
    """The rights of one caller. Immutable.

    Args:
        caller: Who it is.
        scopes: What it may do.
        models: Patterns of the names it may send as a model, `*` for any text; empty: all.
    """

    __slots__ = ("_pattern", "caller", "scopes")

    def __init__(self, caller: Caller, scopes: Iterable[str], models: Sequence[str] = ()) -> None:
        self.caller = caller
        self.scopes = frozenset(scopes)
        self._pattern = compile_globs(models) if models else None

    @property
    def is_limited(self) -> bool:
        """Whether only some models may be used."""
        return self._pattern is not None

    def allows(self, *scopes: Scope) -> bool:
        """Tell whether the caller has one of the scopes."""
        return not self.scopes.isdisjoint(scopes)

    def allows_model(self, name: str) -> bool:
        """Tell whether the caller may send a name as a model."""
        return self._pattern is None or self._pattern.fullmatch(name) is not None

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
        if self._pattern is not None and self._pattern.fullmatch(name) is None:
            shown = name[:_SHOWN_CHARS]
            message = f"the caller may not use the model {shown!r}; `GET /v1/models` lists those it may"
            raise ServiceError(Reason.MODEL_NOT_ALLOWED, message, metadata={"model": shown})


def grant_of(key: ApiKey) -> Grant:
    """Return the rights of a key."""
    details = key.details
    groups = (details.group,) if details.group else ()
    caller = Caller(identity=details.owner or details.name or key.id, key_id=key.id, groups=groups)
    return Grant(caller, details.scopes, details.models)


def compile_globs(globs: Sequence[str]) -> re.Pattern[str]:
    """Compile patterns in which `*` matches any text, and every other character itself."""
    return re.compile("|".join(re.escape(glob).replace(r"\*", ".*") for glob in globs), re.DOTALL)
