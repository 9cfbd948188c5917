"""Judgements in the store."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Column,
    Double,
    Index,
    Integer,
    RowMapping,
    Table,
    Text,
    and_,
    case,
    delete,
    false,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from rerankd.evaluation.judgements.judgement import BY_ID, Judgement, Key, Source, Subject
from rerankd.store.database import METADATA, Database

JUDGEMENTS: Final = Table(
    "judgements",
    METADATA,
    Column("query_hash", Text, primary_key=True),
    Column("document_key", Text, primary_key=True),
    Column("document_id", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("grade", Integer, nullable=True),
    Column("source", Text, nullable=False),
    Column("clicks", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_judgements_age", "source", "updated_at"),
)
_c: Final = JUDGEMENTS.c
T = TypeVar("T")
_CHUNK: Final = 500
"""Judgements in one transaction."""
STEP: Final = 100
"""Judgements that one step of a deletion removes."""


class JudgementTable:
    """Reads and changes judgements. Task-safe; raises `StoreError`.

    Within a query an id names one document: content and id of the same document, told one after the other, are one
    judgement, and other content under the same id takes its place.

    Args:
        database: Migrated.
        clock: Returns seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert

    async def judge(self, grades: Iterable[tuple[Subject, int]], source: Source) -> int:
        """Store grades, 500 in a transaction; of several for one document the last counts.

        Args:
            grades: Subjects with an id or a content, each with 0 to 3.
            source: Feedback leaves the grades of other sources as they are.

        Returns:
            Number of documents that were told.
        """
        count = 0
        for chunk in _chunks(grades):
            rows = {subject: {"grade": grade, "source": source.value, "clicks": 0} for subject, grade in chunk}
            async with self._database.begin_exclusive() as connection:
                count += len(await self._store(connection, rows, self._judging(source)))
        return count

    async def click(self, subject: Subject) -> None:
        """Count a click."""
        row = {"grade": None, "source": "", "clicks": 1}
        async with self._database.begin_exclusive() as connection:
            await self._store(connection, {subject: row}, self._clicking())

    async def get(self, subject: Subject) -> Judgement | None:
        """Return what is stored of a document, by its content, else by its id; None where nothing is."""
        is_same = _c.document_key == subject.key.document_key
        is_named = _c.document_id == subject.document_id if subject.document_id else false()
        statement = select(JUDGEMENTS).where(_c.query_hash == subject.query_hash, or_(is_same, is_named))
        statement = statement.order_by(case((is_same, 0), else_=1))
        async with self._database.begin() as connection:
            row = (await connection.execute(statement.limit(1))).mappings().one_or_none()
            return None if row is None else _judgement_of(row)

    async def of_queries(self, query_hashes: Sequence[str]) -> Mapping[str, Sequence[Judgement]]:
        """Return all judgements of up to 500 queries, by query hash; queries without one are left out."""
        found: defaultdict[str, list[Judgement]] = defaultdict(list)
        statement = select(JUDGEMENTS).where(_c.query_hash.in_(query_hashes)).order_by(_c.query_hash, _c.document_key)
        async with self._database.begin() as connection:
            for row in (await connection.execute(statement)).mappings():
                found[row["query_hash"]].append(_judgement_of(row))
        return found

    async def page(
        self, after: tuple[str, str] | None, size: int, *, query_hash: str = "", source: str = ""
    ) -> list[Judgement]:
        """Return up to `size` judgements in the order of their keys, the first one after the key `after`.

        Args:
            after: Key of the last judgement of the page before; None for the first page.
            size: At least 1.
            query_hash: Only those of this query; empty for all.
            source: Only grades of this source; empty for all, and for documents that were only clicked.
        """
        statement = select(JUDGEMENTS).order_by(_c.query_hash, _c.document_key).limit(size)
        if after is not None:
            statement = statement.where(tuple_(_c.query_hash, _c.document_key) > tuple_(*after))
        if query_hash:
            statement = statement.where(_c.query_hash == query_hash)
        if source:
            statement = statement.where(_c.source == source)
        async with self._database.begin() as connection:
            return [_judgement_of(row) for row in (await connection.execute(statement)).mappings()]

    async def delete(self, subject: Subject) -> bool:
        """Delete a judgement with its clicks; return whether there was one."""
        found = await self.get(subject)
        if found is None:
            return False
        key = found.key
        statement = delete(JUDGEMENTS).where(_c.query_hash == key.query_hash, _c.document_key == key.document_key)
        async with self._database.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def delete_before(self, updated_at: float, source: Source | None) -> int:
        """Delete up to 100 judgements that have not changed since a time; return how many there were.

        Args:
            updated_at: Seconds since 1970.
            source: Whose grades; `None` for documents that were only clicked.
        """
        rules = _c.source == ("" if source is None else source.value), _c.updated_at < updated_at
        key = tuple_(_c.query_hash, _c.document_key)
        oldest = select(_c.query_hash, _c.document_key).where(*rules).order_by(_c.updated_at).limit(STEP)
        async with self._database.begin() as connection:
            return (await connection.execute(delete(JUDGEMENTS).where(key.in_(oldest), *rules))).rowcount

    async def _store(
        self, connection: AsyncConnection, rows: Mapping[Subject, Mapping[str, object]], statement: Any
    ) -> set[Key]:
        """Insert or update one row for each document, under the key that its id has."""
        ids = await _keys_by_id(connection, rows)
        found: dict[Key, dict[str, object]] = {}
        now = self._clock()
        for subject, row in rows.items():
            key = subject.key
            if subject.document_id:
                known = ids.setdefault((subject.query_hash, subject.document_id), key)
                if known != key and subject.content_hash:
                    found[key] = found.pop(known, {}) | found.get(key, {})
                    await _rename(connection, known, key)
                    ids[subject.query_hash, subject.document_id] = key
                elif known != key:
                    key = known
            names = {"document_id": subject.document_id, "query": subject.shown_query}
            earlier = found.get(key, {})
            kept = {name: text or earlier.get(name, "") for name, text in names.items()}
            found[key] = {**key._asdict(), **kept, "updated_at": now, **row}
        await connection.execute(statement, list(found.values()))
        return set(found)

    def _judging(self, source: Source) -> Any:
        statement = self._insert(JUDGEMENTS)
        new = statement.excluded
        is_open = or_(_c.grade.is_(None), _c.source == Source.FEEDBACK.value) if source is Source.FEEDBACK else None
        return statement.on_conflict_do_update(
            index_elements=[_c.query_hash, _c.document_key],
            set_={"grade": new.grade, "source": new.source, **_names(new), "updated_at": new.updated_at},
            where=is_open,
        )

    def _clicking(self) -> Any:
        statement = self._insert(JUDGEMENTS)
        new = statement.excluded
        return statement.on_conflict_do_update(
            index_elements=[_c.query_hash, _c.document_key],
            set_={"clicks": _c.clicks + new.clicks, **_names(new), "updated_at": new.updated_at},
        )


def _names(new: Any) -> dict[str, Any]:
    """Return what keeps a text or an id that is known already where the new one is empty."""
    return {name: case((new[name] != "", new[name]), else_=_c[name]) for name in ("query", "document_id")}


async def _rename(connection: AsyncConnection, old: Key, new: Key) -> None:
    """Give a judgement another key; where that is taken, delete it."""
    has_old, has_new = (
        and_(_c.query_hash == key.query_hash, _c.document_key == key.document_key) for key in (old, new)
    )
    is_taken = (await connection.execute(select(_c.document_key).where(has_new))).one_or_none() is not None
    change = delete(JUDGEMENTS) if is_taken else update(JUDGEMENTS).values(document_key=new.document_key)
    await connection.execute(change.where(has_old))


async def _keys_by_id(connection: AsyncConnection, subjects: Iterable[Subject]) -> dict[tuple[str, str], Key]:
    """Return the keys of documents that are known by the ids of some subjects, by query hash and id."""
    named = [subject for subject in subjects if subject.document_id]
    if not named:
        return {}
    statement = select(_c.query_hash, _c.document_key, _c.document_id).where(
        _c.query_hash.in_({subject.query_hash for subject in named}),
        _c.document_id.in_({subject.document_id for subject in named}),
    )
    return {
        (query_hash, document_id): Key(query_hash, document_key)
        for query_hash, document_key, document_id in await connection.execute(statement)
    }


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in lists of up to 500."""
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def _judgement_of(row: RowMapping) -> Judgement:
    key = row["document_key"]
    content = "" if key.startswith(BY_ID) else key
    return Judgement(
        Subject(row["query_hash"], content, row["document_id"], row["query"]),
        row["grade"],
        Source(row["source"]) if row["source"] else None,
        row["clicks"],
        row["updated_at"],
    )
