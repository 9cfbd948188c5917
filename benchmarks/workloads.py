"""What is sent: queries and documents of 500 bytes, the same in every run, in JSON and in protobuf.

A request may hold `MARK`, which drivers replace by a number that is never used again. So a driver decides without
building requests which pairs of a query and a document are new to a cache.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from rerank.v1 import rerank_service_pb2 as pb

MARK: Final = "@@@@@@@@@@"
"""As long as the ten digits that replace it."""
DOCUMENT_BYTES: Final = 500
QUERY: Final = "who may grant a licence for the work of a contributor"
_TEXT: Final = Path(__file__).parent.parent / "LICENSE"
_RUN_WORDS: Final = 12


@dataclass(frozen=True)
class Workload:
    """One request, or as many as there are numbers for `MARK`."""

    query: str
    documents: Sequence[str]

    def json_body(self, model: str) -> bytes:
        """Encode as the HTTP routes take it."""
        return json.dumps({"model": model, "query": self.query, "documents": list(self.documents)}).encode()

    def message(self, model: str) -> pb.RerankRequest:
        """Make the gRPC message."""
        documents = [pb.Document(text=document) for document in self.documents]
        return pb.RerankRequest(model=model, query=self.query, documents=documents)


@cache
def documents(count: int, name: str = "") -> tuple[str, ...]:
    """Make `count` different texts: runs of words of the licence, a seeded draw.

    Args:
        count: How many.
        name: Begins each, 10 characters at most; texts of different names differ.
    """
    words = [word for word in _TEXT.read_text(encoding="ascii").split() if word[0].isalpha()]
    rng = random.Random(11)
    made = []
    for number in range(count):
        text = f"{name or 'document':10} {number:05}"
        while len(text) < DOCUMENT_BYTES:
            start = rng.randrange(len(words) - _RUN_WORDS)
            text = f"{text} {' '.join(words[start : start + _RUN_WORDS])}"
        made.append(text[:DOCUMENT_BYTES])
    return tuple(made)


def fresh(count: int) -> Workload:
    """Every pair is new in every call."""
    return Workload(f"{QUERY} {MARK}", documents(count))


def known(count: int) -> Workload:
    """Every pair is the same in every call."""
    return Workload(QUERY, documents(count))


def half_known(count: int) -> Workload:
    """Every other document is the same in every call, the rest is new; the query is the same."""
    return Workload(
        QUERY, [text for pair in zip(documents(count // 2), documents(count // 2, MARK), strict=True) for text in pair]
    )
