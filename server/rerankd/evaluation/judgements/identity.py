"""What says that two queries, or two documents, are the same: hashes of their texts, or a document's id."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from rerankd.contract.messages import Document

HASH_CHARS: Final = 32


def hash_of(text: str) -> str:
    """Return the hash of a text: BLAKE2b of its UTF-8 form, 16 bytes, as 32 hexadecimal digits."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_CHARS // 2).hexdigest()


def content_hash(document: str | Document) -> str:
    """Return the hash of a document's text; empty where it has none, but fields or an image."""
    text = document if isinstance(document, str) else document.text
    return hash_of(text) if text else ""


def document_id(document: str | Document) -> str:
    """Return the caller's id of a document; empty without one."""
    return "" if isinstance(document, str) else document.id
