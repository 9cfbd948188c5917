"""How relevant a document is to a query, as somebody said, and how often it was clicked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from rerankd.contract.messages import Document
from rerankd.evaluation.judgements.identity import content_hash, document_id
from rerankd.evaluation.measures.comparison import Labels
from rerankd.runs.text_hash import hash_of

MAX_GRADE: Final = 3
MAX_ID_CHARS: Final = 500
_MAX_QUERY_CHARS: Final = 2000
BY_ID: Final = "id:"
"""Begins the key of a document of which only the id is known; any other's key is the hash of its content."""


class Key(NamedTuple):
    """Names a judgement; pages are in the order of keys."""

    query_hash: str
    document_key: str


class Source(StrEnum):
    """Who judged."""

    API = "api"
    """A caller of the interface."""
    IMPORT = "import"
    """A file."""
    FEEDBACK = "feedback"
    """A user of the results; never replaces a judgement of the other sources."""


class Subject(msgspec.Struct, frozen=True):
    """A query and one document, which is known by its content, by its id, or by both."""

    query_hash: str
    content_hash: str = ""
    """Empty where only the id is known."""
    document_id: str = ""
    """Names one document within a query; empty where only the content is known."""
    query: str = ""
    """The text, for people; empty where only the hash is known."""

    @classmethod
    def of(cls, query: str, document: str | Document) -> Subject:
        """Return the subject of texts."""
        return cls(hash_of(query), content_hash(document), document_id(document), query)

    @property
    def key(self) -> Key:
        """The key under which it is stored unless its id is known under another one."""
        return Key(self.query_hash, self.content_hash or BY_ID + self.document_id)

    @property
    def shown_query(self) -> str:
        """The query as it is stored: nothing of one that is longer than 2,000 characters or has a NUL."""
        return "" if len(self.query) > _MAX_QUERY_CHARS or "\0" in self.query else self.query


class Judgement(msgspec.Struct, frozen=True):
    """What is stored of a subject."""

    subject: Subject
    grade: int | None
    """0 not relevant to 3 best; `None` where the document was only clicked."""
    source: Source | None
    """Who gave the grade; `None` without one."""
    clicks: int
    """How often the document was clicked; a click is no grade."""
    updated_at: float
    """Seconds since 1970."""

    @property
    def key(self) -> Key:
        """The key under which it is stored."""
        return self.subject.key


def labels_of(judgements: Iterable[Judgement], documents: Sequence[tuple[str, str]]) -> Labels:
    """Return what judgements of one query say of a request's documents.

    Args:
        judgements: All of the query.
        documents: n pairs of content hash and id, empty where unknown, in request order. The content decides before
            the id.
    """
    known = list(judgements)
    by_content = {each.subject.content_hash: each for each in known if each.subject.content_hash}
    by_id = {each.subject.document_id: each for each in known if each.subject.document_id}
    found = {
        index: judgement
        for index, (content, name) in enumerate(documents)
        if (judgement := by_content.get(content) or by_id.get(name)) is not None
    }
    return Labels(
        grades={index: each.grade for index, each in found.items() if each.grade is not None},
        ideal=[each.grade for each in known if each.grade is not None],
        clicks={index: each.clicks for index, each in found.items() if each.clicks},
    )
