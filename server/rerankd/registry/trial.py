"""What a change of stored rerankers would do to the engine that runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from rerankd.access.model_bounds import UNBOUNDED, ModelBounds
from rerankd.contract.errors import Reason, ServiceError, invalid_request
from rerankd.registry.loading import LoadedRerankers, load
from rerankd.registry.stored_reranker import StoredReranker
from rerankd.registry.validation import below, own_path, violation_of
from rerankd.strategies.settings import AnyReranker


class RunningEngine(Protocol):
    """The engine of the current settings, as the registry sees it."""

    @property
    def declared(self) -> Mapping[str, AnyReranker]:
        """Rerankers of the settings."""
        ...

    @property
    def taken_names(self) -> Collection[str]:
        """Names of models, aliases and rerankers of the settings."""
        ...

    @property
    def default_model(self) -> str:
        """Name behind the default model's aliases."""
        ...

    @property
    def served(self) -> Collection[str]:
        """Keys of the rerankers that calls may name now."""
        ...

    def strategy_of(self, key: str) -> str | None:
        """Return the strategy of a reranker that calls may name now; None where there is none of this key."""
        ...

    @property
    def problems(self) -> Mapping[str, Sequence[str]]:
        """Why stored rerankers cannot be served now, by key."""
        ...

    def problems_of(self, stored: LoadedRerankers) -> Mapping[str, Sequence[str]]:
        """Return why stored rerankers could not be served if these were all, by key. Nothing changes."""
        ...


def check_change(
    engine: RunningEngine,
    before: Mapping[str, StoredReranker],
    after: Mapping[str, StoredReranker],
    *,
    names_keys: bool = False,
    bounds: ModelBounds = UNBOUNDED,
) -> None:
    """Check that what changes can be served, and that nothing else ends being so.

    What cannot be served before and is not made worse may change: such a reranker can be renamed or disabled.

    Args:
        engine: Resolves the models.
        before: All stored rerankers by key, as they are.
        after: As they would be.
        names_keys: Whether the fields of violations begin with the reranker's key.
        bounds: Names that the error may tell.

    Raises:
        ServiceError: `INVALID_REQUEST` for what changes, `RERANKER_IN_USE` for what else would not be served.
    """
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    first = {key: after[key] for key in changed if key in after}  # a cycle is a problem of the first one in it
    were, are = engine.problems_of(load(before.values())), engine.problems_of(load({**first, **after}.values()))
    violations = [
        below(f"{key}." if names_keys else "", violation_of(own_path(key, problem)))
        for key in changed
        for problem in are.get(key, ())
        if problem not in were.get(key, ()) or _has_new_config(before.get(key), after[key])
    ]
    if violations:
        raise invalid_request(violations)
    if users := {key: problems for key, problems in are.items() if key not in were and key not in changed}:
        told = [user for user in users if bounds.allows(user)]
        problem = users[told[0]][0] if told else "they cannot be served without it"
        raise _in_use(changed[0], [*told, *(["others"] if len(told) < len(users) else [])], problem)
    for key in changed:
        is_served = key in after and after[key].content.status == "active"
        if key == engine.default_model and not is_served and key not in engine.declared:
            raise _in_use(key, ["default_model"], f"default_model in the server's settings is {key}")


def _has_new_config(before: StoredReranker | None, after: StoredReranker) -> bool:
    return before is None or (before.content.strategy, before.content.config) != (
        after.content.strategy,
        after.content.config,
    )


def _in_use(key: str, users: Sequence[str], problem: str) -> ServiceError:
    message = f"{key} is needed as it is by {', '.join(users[:5])}: {problem}"
    return ServiceError(
        Reason.RERANKER_IN_USE, message, metadata={"reranker": key, "users": ",".join(users[:20]), "problem": problem}
    )
