"""Judgements in files: TREC qrels with their queries and documents, and JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rerankd.contract.messages import Document
from rerankd.evaluation.judgements.identity import content_hash, document_id
from rerankd.evaluation.judgements.judgement import MAX_GRADE, MAX_ID_CHARS, Judgement, Source, Subject
from rerankd.runs.text_hash import HASH_CHARS, hash_of

Graded = tuple[Subject, int, Source]
"""A document, its grade, and who gave it: an end user, as an export says, or the file."""


class FileError(ValueError):
    """A line cannot be read; the message names it."""


class JudgementLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of JSON: one document, or a query with all of its documents."""

    query: str = ""
    query_hash: str = ""
    """Where the query is not known."""
    document: str | Document = ""
    """A text, or an object as in a request."""
    document_hash: str = ""
    """Where the document is not known."""
    document_id: str = ""
    grade: int | None = None
    """0 to 3."""
    documents: list[str | Document] = []
    """With `grades`: all documents of the query."""
    grades: list[int] = []
    source: str = ""
    """Of an export: `feedback` stays so, any other is that of the import."""
    clicks: int = 0
    """Of an export; not read."""
    updated_at: float = 0.0
    """Of an export, seconds since 1970; not read."""


class _Named(msgspec.Struct):
    """A query or document of a collection, under one of the usual names of an id."""

    id: str | int | None = None
    underscore_id: str | int | None = msgspec.field(default=None, name="_id")
    qid: str | int | None = None
    docid: str | int | None = None
    text: str = ""
    query: str = ""

    @property
    def name(self) -> str:
        found = (name for name in (self.id, self.underscore_id, self.qid, self.docid) if name is not None)
        return str(next(found, ""))


def read_json_lines(lines: Iterable[str]) -> Iterator[Graded]:
    """Yield the grades of JSON Lines, as `write_json_line` writes them or as `rerankd tune` reads them.

    Lines without a grade, of documents that were only clicked, are left out.

    Raises:
        FileError: A line cannot be read.
    """
    decode = msgspec.json.Decoder(JudgementLine).decode
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            given = decode(line)
        except msgspec.DecodeError as error:
            raise FileError(f"line {number}: {error}") from None
        yield from _graded(given, f"line {number}")


def write_json_line(judgement: Judgement) -> str:
    """Return a line that `read_json_lines` reads."""
    subject = judgement.subject
    line = JudgementLine(
        query=subject.query,
        query_hash=subject.query_hash,
        document_hash=subject.content_hash,
        document_id=subject.document_id,
        grade=judgement.grade,
        source=judgement.source or "",
        clicks=judgement.clicks,
        updated_at=judgement.updated_at,
    )
    return msgspec.json.encode(line).decode()


def read_qrels(
    lines: Iterable[str],
    queries: Mapping[str, str],
    documents: Mapping[str, Document] | None = None,
    *,
    clips: bool = False,
) -> Iterator[Graded]:
    """Yield the grades of TREC qrels: query id, an ignored column if there are four, document id, relevance.

    Args:
        lines: Columns are separated by white space; a first line whose last column is no number is a heading. Relevance
            below 0 is 0.
        queries: Texts by id.
        documents: Documents by id; None: runs are to name documents by these ids.
        clips: Whether relevance above 3 is 3, and not refused.

    Raises:
        FileError: A line cannot be read, or names an unknown query or document.
    """
    for number, line in enumerate(lines, start=1):
        columns = line.split()
        if not columns:
            continue
        if number == 1 and len(columns) in (3, 4) and not _is_number(columns[-1]):
            continue
        if len(columns) not in (3, 4) or not _is_number(columns[-1]):
            raise FileError(f"line {number} is not: query id, 0, document id, relevance")
        query, document, grade = columns[0], columns[-2], max(0, int(columns[-1]))
        if query not in queries:
            raise FileError(f"line {number} names the query {query[:100]}, which is not among the queries")
        if documents is not None and document not in documents:
            raise FileError(f"line {number} names the document {document[:100]}, which is not among the documents")
        if grade > MAX_GRADE and not clips:
            raise FileError(f"line {number} has relevance {grade}, above {MAX_GRADE}")
        content = "" if documents is None else content_hash(documents[document])
        subject = Subject(hash_of(queries[query]), content, document, queries[query])
        yield subject, min(grade, MAX_GRADE), Source.IMPORT


def read_queries(lines: Iterable[str]) -> dict[str, str]:
    """Return texts by id: lines of JSON with `id` and `text` (or `_id`, `qid`; `query`), or of id, tab, text.

    Raises:
        FileError: A line cannot be read.
    """
    return {name: given.text or given.query for name, given in _collection(lines)}


def read_documents(lines: Iterable[str]) -> dict[str, Document]:
    """Return documents by id, as requests have them: JSON with `id` (`_id`, `docid`) and `text`, or id, tab, text.

    Raises:
        FileError: A line cannot be read.
    """
    return {name: Document(id=name, text=given.text) for name, given in _collection(lines)}


def _collection(lines: Iterable[str]) -> Iterator[tuple[str, _Named]]:
    decode = msgspec.json.Decoder(_Named).decode
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if line.lstrip().startswith("{"):
                given = decode(line)
            else:
                name, _, text = line.rstrip("\r\n").partition("\t")
                given = _Named(id=name, text=text)
        except msgspec.DecodeError as error:
            raise FileError(f"line {number}: {error}") from None
        if not given.name or not (given.text or given.query):
            raise FileError(f"line {number} has no id, or no text")
        yield given.name, given


def _graded(given: JudgementLine, name: str) -> Iterator[Graded]:
    if bool(given.query) == bool(given.query_hash) and hash_of(given.query) != given.query_hash:
        raise FileError(f"{name} needs query, or query_hash")
    query_hash = given.query_hash or hash_of(given.query)
    if len(query_hash) != HASH_CHARS or len(given.document_hash) not in (0, HASH_CHARS):
        raise FileError(f"{name}: a hash has {HASH_CHARS} hexadecimal digits")
    if given.documents or given.grades:
        if len(given.documents) != len(given.grades):
            raise FileError(f"{name}: {len(given.documents)} documents have {len(given.grades)} grades")
        pairs = [(document, "", "", grade) for document, grade in zip(given.documents, given.grades, strict=True)]
    elif given.grade is not None:
        pairs = [(given.document, given.document_hash, given.document_id, given.grade)]
    else:
        pairs = []
    for document, content, identifier, grade in pairs:
        subject = Subject(
            query_hash, content or content_hash(document), identifier or document_id(document), given.query
        )
        if not subject.content_hash and not subject.document_id:
            raise FileError(f"{name} needs a text, or document_id")
        if len(subject.document_id) > MAX_ID_CHARS:
            raise FileError(f"{name}: document_id has more than {MAX_ID_CHARS} characters")
        if not 0 <= grade <= MAX_GRADE:
            raise FileError(f"{name}: a grade is 0 to {MAX_GRADE}, not {grade}")
        yield subject, grade, Source.FEEDBACK if given.source == Source.FEEDBACK else Source.IMPORT


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
