"""Which names callers may send as a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rerankd.contract.call_context import Caller
from rerankd.contract.errors import Reason, ServiceError

_SHOWN_CHARS: Final = 100


class ModelBounds:
    """The names that a caller may send as a model: of models, aliases and rerankers. Immutable.

    Args:
        patterns: `*` for any text; empty: all names.
    """

    __slots__ = ("_pattern",)

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._pattern = compile_globs(patterns) if patterns else None

    @property
    def is_limited(self) -> bool:
        """Whether only some names may be sent."""
        return self._pattern is not None

    def allows(self, name: str) -> bool:
        """Tell whether a name may be sent."""
        return self._pattern is None or self._pattern.fullmatch(name) is not None

    def require(self, name: str) -> None:
        """Check that a name may be sent.

        Raises:
            ServiceError: `MODEL_NOT_ALLOWED`.
        """
        if not self.allows(name):
            shown = name[:_SHOWN_CHARS]
            message = f"the caller may not use the model {shown!r}; `GET /v1/models` lists those it may"
            raise ServiceError(Reason.MODEL_NOT_ALLOWED, message, metadata={"model": shown})


UNBOUNDED: Final = ModelBounds()
"""Every name."""


def bounds_of(caller: Caller) -> ModelBounds:
    """Return which names a caller may send."""
    return _of_patterns(caller.models) if caller.models else UNBOUNDED


def may_see_run(caller: Caller, asked: str, key_id: str) -> bool:
    """Tell whether a caller may see a logged run: one of a name that it may send, or one that its own key made.

    Lists know a run by what an alias stood for, which a key that may send the alias alone does not allow.

    Args:
        caller: Who wants to see it.
        asked: What the run asked for, as far as it is known.
        key_id: Id of the key that made it; empty for none.
    """
    return bounds_of(caller).allows(asked) or (bool(key_id) and key_id == caller.key_id)


def require_run(caller: Caller, asked: str, key_id: str) -> None:
    """Check that a caller may see a logged run; arguments as of `may_see_run`.

    Raises:
        ServiceError: `MODEL_NOT_ALLOWED`.
    """
    if not may_see_run(caller, asked, key_id):
        bounds_of(caller).require(asked)


@lru_cache(maxsize=1024)
def _of_patterns(patterns: tuple[str, ...]) -> ModelBounds:
    return ModelBounds(patterns)


def compile_globs(globs: Sequence[str]) -> re.Pattern[str]:
    """Compile patterns in which `*` matches any text, and every other character itself."""
    return re.compile("|".join(re.escape(glob).replace(r"\*", ".*") for glob in globs), re.DOTALL)
