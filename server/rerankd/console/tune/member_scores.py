"""Asks the members of a fusion about judged queries."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerankd.console.errors import CommandError
from rerankd.console.rendering import make_console
from rerankd.console.tune.judged_queries import JudgedQuery
from rerankd.console.tune.plan import TUNED, TunedFusion
from rerankd.console.tune.weight_search import ScoredQuery
from rerankd.sdk import Reranker, RerankError, RerankResponse, RerankResult


class Answered(NamedTuple):
    """What the fusion and its members said of one query."""

    query: ScoredQuery
    order: Sequence[int]
    """Of the fusion with its present weights, best document first."""
    weights: Sequence[float]
    """Present weights of the members, as shares; 0 for one that gave all documents the same score."""


class Advance(Protocol):
    """Is told that one more query is done."""

    def __call__(self) -> None:
        """Count the query."""
        ...


def score_queries(subject: TunedFusion, queries: Sequence[JudgedQuery], concurrency: int) -> list[Answered]:
    """Let every member score every query, with a progress bar on standard error.

    Args:
        subject: The fusion.
        queries: n judged queries, n >= 1.
        concurrency: Queries under way at once.

    Raises:
        CommandError: A member failed.
    """
    with _progress(len(queries)) as advance:
        return asyncio.run(_score_all(subject, queries, concurrency, advance))


async def _score_all(
    subject: TunedFusion, queries: Sequence[JudgedQuery], concurrency: int, advance: Advance
) -> list[Answered]:
    turns = asyncio.Semaphore(concurrency)
    failures: list[CommandError] = []
    async with Reranker(subject.settings) as reranker:

        async def score(query: JudgedQuery) -> Answered:
            async with turns:
                scored = await _score(reranker, query, len(subject.config.members))
                advance()
                return scored

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(score(query)) for query in queries]
        except* CommandError as failed:
            failures += [error for error in failed.exceptions if isinstance(error, CommandError)]
        if failures:
            raise failures[0]
        return [task.result() for task in tasks]


async def _score(reranker: Reranker, query: JudgedQuery, members: int) -> Answered:
    try:
        response = await reranker.arerank(
            TUNED,
            query.query,
            query.documents,
            include_details=True,
            return_documents=False,
        )
    except RerankError as error:
        text = query.query if len(query.query) <= 60 else f"{query.query[:57]}..."
        raise CommandError(f"a member failed on the query {text!r}: {error.message}") from None
    return Answered(
        ScoredQuery(_columns(response, len(query.grades), members), query.grades),
        [result.index for result in response.results],
        [part["weight"] for part in _parts(response.results[0])],
    )


def _columns(response: RerankResponse, documents: int, members: int) -> list[list[float]]:
    """Return what each member adds to each document for the whole weight; nothing if its scores are all equal."""
    columns = [[0.0] * documents for _ in range(members)]
    for result in response.results:
        for member, part in enumerate(_parts(result)):
            if part["weight"]:
                columns[member][result.index] = part["contribution"] / part["weight"]
    return columns


def _parts(result: RerankResult) -> Sequence[Mapping[str, float]]:
    """Return what the members said of a document; nothing of one that is blank."""
    parts: Sequence[Mapping[str, float]] = result.get("explanation", {}).get("parts", ())
    return parts


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    columns = (TextColumn("asking the members"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = make_console(is_error=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
