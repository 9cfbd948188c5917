"""Reads rerankers: those of the store with their totals, and those of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from rerankd.access.model_bounds import UNBOUNDED, ModelBounds
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.registry.refusals import not_found, version_not_found
from rerankd.registry.reranker_registry import TableSource
from rerankd.registry.stored_reranker import CallTotals, RerankerContent, RerankerVersion, StoredReranker
from rerankd.registry.trial import RunningEngine
from rerankd.registry.version_diff import FieldDifference, differences
from rerankd.store.faults import store_faults
from rerankd.strategies.settings import AnyReranker

MAX_PAGE_SIZE: Final = 200
DEFAULT_PAGE_SIZE: Final = 50
STATUSES: Final = ("active", "disabled")
_MAX_SEARCH_CHARS: Final = 200


class RerankerFilter(NamedTuple):
    """What to list."""

    status: str = ""
    """`active` or `disabled`; empty: both."""
    search: str = ""
    """Text in key, name or description, whatever its case; empty: all."""


class RerankerListing:
    """Reads rerankers. Task-safe; every method raises `ServiceError` `STORE_UNAVAILABLE` too.

    Args:
        source: Opens the store; without one, there are the settings' rerankers alone.
        engine: Knows the settings, and which rerankers cannot be served.
    """

    def __init__(self, source: TableSource, engine: RunningEngine) -> None:
        self._source = source
        self._engine = engine

    async def get(self, key: str, bounds: ModelBounds = UNBOUNDED) -> StoredReranker:
        """Return a reranker, of the store first: it can be changed, and says which one answers.

        Args:
            key: Its key.
            bounds: Those that the caller may use; the others are as good as absent.

        Raises:
            ServiceError: `MODEL_NOT_ALLOWED`, `RERANKER_NOT_FOUND`.
        """
        bounds.require(key)
        found = None
        with store_faults():
            if self._source.is_there:
                found = await (await self._source.table()).get(key)
        if found is None:
            settings = self._engine.declared.get(key)
            if settings is None:
                raise not_found(key, [each.key for each in await self._all() if bounds.allows(each.key)])
            found = _declared(key, settings)
        (full,) = await self.completed([found])
        return full

    async def page(
        self, wanted: RerankerFilter, bounds: ModelBounds = UNBOUNDED, *, size: int | None = None, after: str = ""
    ) -> tuple[list[StoredReranker], str]:
        """Return a page of rerankers ordered by key, and the token of the next one; empty on the last.

        Raises:
            ServiceError: `INVALID_REQUEST`.
        """
        size = DEFAULT_PAGE_SIZE if size is None else size
        _check(wanted, size)
        fitting = [
            each
            for each in await self._all()
            if _position(each) > after and _fits(each, wanted) and bounds.allows(each.key)
        ]
        page = fitting[:size]
        token = _position(page[-1]) if len(fitting) > size else ""
        return await self.completed(page), token

    async def versions(
        self, key: str, *, size: int | None = None, before: int | None = None
    ) -> tuple[list[RerankerVersion], int | None]:
        """Return a page of the versions of a reranker, newest first, and what to give as `before` for the next one.

        Raises:
            ServiceError: `INVALID_REQUEST`, `RERANKER_NOT_FOUND`; one of the settings has no versions.
        """
        size = DEFAULT_PAGE_SIZE if size is None else size
        _check(RerankerFilter(), size)
        await self.get(key)
        with store_faults():
            if not self._source.is_there:
                return [], None
            found = await (await self._source.table()).versions(key, before, size + 1)
        return found[:size], found[size - 1].version if len(found) > size else None

    async def version(self, key: str, version: int) -> RerankerVersion:
        """Return one version.

        Raises:
            ServiceError: `RERANKER_NOT_FOUND` for a version that is not kept.
        """
        found = None
        with store_faults():
            if self._source.is_there:
                found = await (await self._source.table()).version(key, version)
        if found is None:
            await self.get(key)
            raise version_not_found(key, version)
        return found

    async def diff(self, key: str, before: int, after: int) -> list[FieldDifference]:
        """Return what changed from one version to another.

        Raises:
            ServiceError: `RERANKER_NOT_FOUND` for a version that is not kept.
        """
        first, second = await self.version(key, before), await self.version(key, after)
        return list(differences(msgspec.to_builtins(first.content), msgspec.to_builtins(second.content)))

    async def _all(self) -> list[StoredReranker]:
        """Return all rerankers ordered by key; one of the settings after one of the store with its key."""
        stored: Sequence[StoredReranker] = ()
        with store_faults():
            if self._source.is_there:
                stored = await (await self._source.table()).all()
        declared = [_declared(key, settings) for key, settings in self._engine.declared.items()]
        return sorted([*stored, *declared], key=_position)

    def _with_problem(self, reranker: StoredReranker) -> StoredReranker:
        problems = () if reranker.is_declared else self._engine.problems.get(reranker.key, ())
        return msgspec.structs.replace(reranker, problem="; ".join(problems)) if problems else reranker

    async def completed(self, rerankers: Sequence[StoredReranker]) -> list[StoredReranker]:
        """Return rerankers with their totals, and why they cannot be served."""
        totals: Mapping[str, CallTotals] = {}
        with store_faults():
            if rerankers and self._source.is_there:
                totals = await (await self._source.table()).totals([each.key for each in rerankers])
        return [
            msgspec.structs.replace(self._with_problem(each), totals=totals.get(each.key, CallTotals()))
            for each in rerankers
        ]


def _position(reranker: StoredReranker) -> str:
    """Return what orders rerankers; tokens of pages are such texts."""
    return f"{reranker.key} settings" if reranker.is_declared else reranker.key


def _fits(reranker: StoredReranker, wanted: RerankerFilter) -> bool:
    content = reranker.content
    if wanted.status and content.status != wanted.status:
        return False
    search = wanted.search.strip().casefold()
    return not search or any(search in text.casefold() for text in (reranker.key, content.name, content.description))


def _check(wanted: RerankerFilter, size: int) -> None:
    violations = list(_violations(wanted, size))
    if violations:
        raise invalid_request(violations)


def _violations(wanted: RerankerFilter, size: int) -> Iterator[FieldViolation]:
    if wanted.status not in ("", *STATUSES):
        yield FieldViolation("status", f"status must be {' or '.join(STATUSES)}, was {wanted.status[:50]!r}")
    if len(wanted.search) > _MAX_SEARCH_CHARS:
        yield FieldViolation("search", f"search must be at most {_MAX_SEARCH_CHARS} characters")
    if not 1 <= size <= MAX_PAGE_SIZE:
        yield FieldViolation("page_size", f"page_size must be 1 to {MAX_PAGE_SIZE}, was {size}")


def _declared(key: str, settings: AnyReranker) -> StoredReranker:
    """Return a reranker of the settings as one of the store would be listed."""
    config = msgspec.to_builtins(settings.config)
    default = {field.encode_name: field for field in msgspec.structs.fields(settings.config)}
    said = {name: value for name, value in config.items() if not _is_default(default[name], value)}
    strategy = str(settings.__struct_config__.tag)
    content = RerankerContent(
        name=key, description=settings.description, strategy=strategy, status=settings.status, config=said
    )
    return StoredReranker(key=key, content=content)


def _is_default(field: msgspec.structs.FieldInfo, value: object) -> bool:
    if field.required:
        return False
    default = field.default_factory() if callable(field.default_factory) else field.default
    return bool(msgspec.to_builtins(default) == value)
