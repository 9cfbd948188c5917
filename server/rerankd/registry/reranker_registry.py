"""The stored rerankers: created, changed, deleted, and rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from rerankd.access.model_bounds import UNBOUNDED, ModelBounds
from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.suggestions import did_you_mean
from rerankd.registry.keys import key_of_name
from rerankd.registry.refusals import (
    already_exists,
    check_etag,
    not_found,
    read_only,
    too_many,
    version_not_found,
)
from rerankd.registry.settings import RegistrySettings
from rerankd.registry.stored_reranker import FIELDS, RerankerContent, StoredReranker
from rerankd.registry.trial import RunningEngine, check_change
from rerankd.registry.validation import below, settings_of, text_violations
from rerankd.store.faults import store_faults
from rerankd.strategies.settings import key_problem, named_models

if TYPE_CHECKING:
    from rerankd.registry.reranker_table import Changing, RerankerTable

_UNNAMED_KEY: Final = "new"
"""Stands for a key that is made when the reranker is stored."""


class TableSource(Protocol):
    """Opens the table of rerankers."""

    @property
    def is_there(self) -> bool:
        """Whether there is a store to read."""
        ...

    async def table(self) -> RerankerTable:
        """Return the table; a SQLite file is created.

        Raises:
            StoreError: The store cannot be used.
        """
        ...


async def _nothing() -> None:
    """Tell nobody of a change."""


class RerankerRegistry:
    """Changes stored rerankers. Task-safe; changes of all processes happen one after the other.

    Every method raises `ServiceError`: `STORE_UNAVAILABLE` where the store cannot be used, and what is named there.

    Args:
        source: Opens the store.
        engine: Checks what rerankers refer to.
        settings: Bounds.
        changed: Awaited after each change, before it is answered.
    """

    def __init__(
        self,
        source: TableSource,
        engine: RunningEngine,
        settings: Callable[[], RegistrySettings],
        changed: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.source = source
        self.engine = engine
        self._settings = settings
        self._changed = changed

    async def create(
        self, content: RerankerContent, *, key: str = "", author: str = "", bounds: ModelBounds = UNBOUNDED
    ) -> StoredReranker:
        """Store a new reranker.

        Args:
            content: What it is.
            key: Its key; empty: made of the name.
            author: Who makes it.
            bounds: What its author may use, and so have it ask.

        Raises:
            ServiceError: `INVALID_REQUEST`, `ALREADY_EXISTS`, `MODEL_NOT_ALLOWED`.
        """
        content = _plain(content)
        _check_content(content, key or _UNNAMED_KEY)
        async with self._changing() as changing:
            taken = {*changing.rerankers, *self.engine.taken_names}
            if key in taken:
                raise already_exists(key)
            key = key or key_of_name(content.name, taken.__contains__)
            _check_bounds(bounds, key, content)
            return await self._put(changing, {key: content}, author, "create", bounds=bounds)

    async def update(
        self,
        key: str,
        changes: Mapping[str, Any],
        *,
        etag: str = "",
        author: str = "",
        bounds: ModelBounds = UNBOUNDED,
    ) -> StoredReranker:
        """Change some fields of a reranker; without a difference nothing changes, and no version is made.

        Args:
            key: Its key.
            changes: New values by names of fields, of `FIELDS`.
            etag: Of the state that the caller has seen; empty: any.
            author: Who changes it.
            bounds: What its author may use, and so have it ask.

        Raises:
            ServiceError: `INVALID_REQUEST`, `RERANKER_NOT_FOUND`, `DECLARED_IN_SETTINGS`, `RERANKER_CONFLICT`,
                `RERANKER_IN_USE`, `MODEL_NOT_ALLOWED`.
        """
        if unknown := [name for name in changes if name not in FIELDS]:
            raise invalid_request(
                [
                    FieldViolation("update_mask", f"update_mask: {name[:100]} cannot be changed{_hint(name)}")
                    for name in unknown
                ]
            )
        self._check_known(key, bounds)
        async with self._changing() as changing:
            found = self._found(changing, key, bounds)
            check_etag(found, etag)
            content = _plain(msgspec.structs.replace(found.content, **changes))
            _check_content(content, key, changes)
            _check_bounds(bounds, key, content, found.content)
            return await self._put(changing, {key: content}, author, "update", bounds=bounds)

    async def rollback(
        self, key: str, version: int, *, etag: str = "", author: str = "", bounds: ModelBounds = UNBOUNDED
    ) -> StoredReranker:
        """Make a reranker again what it was in a version, as a new version.

        Raises:
            ServiceError: As `update`; `RERANKER_NOT_FOUND` for a version that is not kept.
        """
        self._check_known(key, bounds)
        async with self._changing() as changing:
            found = self._found(changing, key, bounds)
            check_etag(found, etag)
            wanted = await changing.version(key, version)
            if wanted is None:
                raise version_not_found(key, version)
            _check_content(wanted.content, key)
            _check_bounds(bounds, key, wanted.content, found.content)
            return await self._put(changing, {key: wanted.content}, author, f"rollback to {version}", bounds=bounds)

    async def put_all(self, contents: Mapping[str, RerankerContent], *, author: str = "") -> list[str]:
        """Create and update rerankers, all or none; they may refer to each other.

        Returns:
            Keys of those that changed.

        Raises:
            ServiceError: `INVALID_REQUEST`, `ALREADY_EXISTS`, `RERANKER_IN_USE`.
        """
        plain = {key: _plain(content) for key, content in contents.items()}
        for key, content in plain.items():
            _check_content(content, key, prefix=f"{key}.")
        async with self._changing() as changing:
            for key in plain:
                if key not in changing.rerankers and key in self.engine.taken_names:
                    raise already_exists(key)
            changed = [key for key, content in plain.items() if not _is_same(changing.rerankers.get(key), content)]
            if changed:
                await self._put(changing, {key: plain[key] for key in changed}, author, "import", names_keys=True)
            return changed

    async def delete(self, key: str, *, etag: str = "", bounds: ModelBounds = UNBOUNDED) -> None:
        """Delete a reranker with its versions and totals.

        Raises:
            ServiceError: `RERANKER_NOT_FOUND`, `DECLARED_IN_SETTINGS`, `RERANKER_CONFLICT`, `RERANKER_IN_USE`.
        """
        self._check_known(key, bounds)
        async with self._changing() as changing:
            check_etag(self._found(changing, key, bounds), etag)
            check_change(
                self.engine,
                changing.rerankers,
                {name: each for name, each in changing.rerankers.items() if name != key},
                bounds=bounds,
            )
            await changing.remove(key)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Changing]:
        with store_faults():
            table = await self.source.table()
            async with table.changing() as changing:
                yield changing
        await self._changed()

    def _check_known(self, key: str, bounds: ModelBounds) -> None:
        """Refuse a change of what the caller may not use, and one where there is no store, which it would create."""
        bounds.require(key)
        if not self.source.is_there:
            raise self._unknown(key, (), bounds)

    def _found(self, changing: Changing, key: str, bounds: ModelBounds) -> StoredReranker:
        if (found := changing.rerankers.get(key)) is not None:
            return found
        raise self._unknown(key, changing.rerankers, bounds)

    def _unknown(self, key: str, stored: Iterable[str], bounds: ModelBounds) -> ServiceError:
        if key in self.engine.declared:
            return read_only(key)
        return not_found(key, filter(bounds.allows, [*stored, *self.engine.declared]))

    async def _put(
        self,
        changing: Changing,
        contents: Mapping[str, RerankerContent],
        author: str,
        origin: str,
        *,
        names_keys: bool = False,
        bounds: ModelBounds = UNBOUNDED,
    ) -> StoredReranker:
        """Check and store new contents, n >= 1; return the last one."""
        settings = self._settings()
        after = {
            **changing.rerankers,
            **{key: _next(changing, key, content) for key, content in contents.items()},
        }
        if len(after) > max(settings.max_rerankers, len(changing.rerankers)):
            raise too_many(settings.max_rerankers)
        check_change(self.engine, changing.rerankers, after, names_keys=names_keys, bounds=bounds)
        for key in contents:
            if after[key] is not changing.rerankers.get(key):
                await changing.put(after[key], author, origin, settings.kept_versions)
        return after[list(contents)[-1]]


def _next(changing: Changing, key: str, content: RerankerContent) -> StoredReranker:
    """Return a reranker with new content: the next version, or the same one where nothing differs."""
    found = changing.rerankers.get(key)
    if found is not None and _is_same(found, content):
        return found
    return StoredReranker(
        key=key,
        content=content,
        version=1 if found is None else found.version + 1,
        change=changing.change,
        created_at=changing.now_s if found is None else found.created_at,
        updated_at=changing.now_s,
    )


def _is_same(found: StoredReranker | None, content: RerankerContent) -> bool:
    return found is not None and found.content == content


def _check_content(content: RerankerContent, key: str, changed: Collection[str] = FIELDS, prefix: str = "") -> None:
    """Check a reranker by itself; settings that were wrong before are refused only where they change."""
    violations = [each for each in text_violations(content) if each.field in changed]
    if problem := key_problem(key):
        violations.append(FieldViolation("key", f"key {problem}"))
    if not violations and not {"strategy", "config", "status"}.isdisjoint(changed):
        violations = list(settings_of(key, content).violations)
    if violations:
        raise invalid_request([below(prefix, each) for each in violations])


def _check_bounds(
    bounds: ModelBounds, key: str, content: RerankerContent, before: RerankerContent | None = None
) -> None:
    """Check that the author of a change may use the reranker, and every model that a new configuration names.

    Raises:
        ServiceError: `MODEL_NOT_ALLOWED`.
    """
    if not bounds.is_limited:
        return
    bounds.require(key)
    if before is None or (before.strategy, before.config) != (content.strategy, content.config):
        settings = settings_of(key, content).settings
        for name in named_models(None if settings is None else settings.config):
            bounds.require(name)


def _plain(content: RerankerContent) -> RerankerContent:
    """Return a content whose whole numbers are integers: gRPC's `Struct` has no others than doubles."""
    return msgspec.structs.replace(content, config=_whole(content.config), metadata=_whole(content.metadata))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if is_whole else value


def _hint(name: str) -> str:
    return did_you_mean(name, FIELDS) or f"; it takes {', '.join(FIELDS)}"
