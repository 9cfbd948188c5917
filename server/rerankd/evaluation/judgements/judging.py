"""Judgements as callers give, list and delete them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Final, Protocol

from rerankd.contract import evaluation_messages as messages
from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, invalid_request
from rerankd.evaluation.judgements.judgement import MAX_GRADE, MAX_ID_CHARS, Subject
from rerankd.runs.text_hash import HASH_CHARS, hash_of

MAX_JUDGEMENTS: Final = 1000
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


class _NamesQuery(Protocol):
    query: str
    query_hash: str


class _NamesDocument(_NamesQuery, Protocol):
    document_hash: str
    document_id: str


def grades_of(request: messages.SetJudgementsRequest) -> list[tuple[Subject, int]]:
    """Return the grades of a request.

    Raises:
        ServiceError: `INVALID_REQUEST` with the fields that cannot be used.
    """
    given = request.judgements
    if not 1 <= len(given) <= MAX_JUDGEMENTS:
        rule = f"judgements must have 1 to {MAX_JUDGEMENTS} items, has {len(given)}"
        raise invalid_request([FieldViolation("judgements", rule)])
    found = [
        violation
        for number, each in enumerate(given)
        for violation in _grade_violations(each, f"judgements[{number}].")
    ]
    if found:
        raise invalid_request(found[:MAX_VIOLATIONS])
    return [(_subject_of(each, each.document), each.grade) for each in given]


def deleted_subject(request: messages.DeleteJudgementRequest) -> Subject:
    """Return the subject of a judgement to delete.

    Raises:
        ServiceError: `INVALID_REQUEST` with the fields that cannot be used.
    """
    if found := [*_query_violations(request, ""), *_document_violations(request, "", "")]:
        raise invalid_request(found)
    return _subject_of(request, "")


def listed_query(request: messages.ListJudgementsRequest) -> str:
    """Return the hash of the query whose judgements are to be listed; empty for all.

    Raises:
        ServiceError: `INVALID_REQUEST`.
    """
    if not request.query and not request.query_hash:
        return ""
    if found := list(_query_violations(request, "")):
        raise invalid_request(found)
    return request.query_hash or hash_of(request.query)


def page_token(query_hash: str, document_key: str) -> str:
    """Return the token of the page after a judgement."""
    return urlsafe_b64encode(f"{query_hash}{document_key}".encode()).decode()


def read_page_token(token: str) -> tuple[str, str]:
    """Return query hash and document key in a token.

    Raises:
        ServiceError: `INVALID_REQUEST` for a token of another form.
    """
    try:
        text = urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    if not _is_hash(text[:HASH_CHARS]) or "\0" in text:
        rule = "page_token must be the token of an earlier answer"
        raise invalid_request([FieldViolation("page_token", rule)])
    return text[:HASH_CHARS], text[HASH_CHARS:]


def _grade_violations(given: messages.JudgementInput, path: str) -> Iterator[FieldViolation]:
    yield from _query_violations(given, path)
    yield from _document_violations(given, given.document, path)
    if not 0 <= given.grade <= MAX_GRADE:
        yield FieldViolation(f"{path}grade", f"{path}grade must be 0 to {MAX_GRADE}, was {given.grade}")


def _query_violations(given: _NamesQuery, path: str) -> Iterator[FieldViolation]:
    if bool(given.query) == bool(given.query_hash):
        yield FieldViolation(f"{path}query", f"{path}query or {path}query_hash is needed, and not both")
    elif given.query_hash and not _is_hash(given.query_hash):
        yield FieldViolation(f"{path}query_hash", f"{path}query_hash must be {HASH_CHARS} hexadecimal digits")


def _document_violations(given: _NamesDocument, document: str, path: str) -> Iterator[FieldViolation]:
    if not (document or given.document_hash or given.document_id):
        field = f"{path}document_id"
        yield FieldViolation(field, f"{field}, or the text of the document or its hash, is needed")
    if given.document_hash and (document or not _is_hash(given.document_hash)):
        rule = f"must be {HASH_CHARS} hexadecimal digits, and stands instead of the text"
        yield FieldViolation(f"{path}document_hash", f"{path}document_hash {rule}")
    if len(given.document_id) > MAX_ID_CHARS or "\0" in given.document_id:
        rule = f"must have at most {MAX_ID_CHARS} characters, none of them NUL"
        yield FieldViolation(f"{path}document_id", f"{path}document_id {rule}")


def _subject_of(given: _NamesDocument, document: str) -> Subject:
    content = given.document_hash or (hash_of(document) if document else "")
    return Subject(given.query_hash or hash_of(given.query), content, given.document_id, given.query)


def _is_hash(text: str) -> bool:
    return len(text) == HASH_CHARS and set(text) <= _HEXADECIMAL
