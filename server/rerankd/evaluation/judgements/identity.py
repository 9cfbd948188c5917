"""What says that two queries, or two documents, are the same: hashes of their texts, or a document's id."""

from __future__ import annotations

from rerankd.contract.messages import Document
from rerankd.runs.text_hash import hash_of


def content_hash(document: str | Document) -> str:
    """Return the hash of a document's text; empty where it has none, but fields or an image."""
    text = document if isinstance(document, str) else document.text
    return hash_of(text) if text else ""


def document_id(document: str | Document) -> str:
    """Return the caller's id of a document; empty without one."""
    return "" if isinstance(document, str) else document.id
