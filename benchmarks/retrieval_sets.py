"""Labelled retrieval sets: a corpus, queries, candidates in BM25 order, and judgements.

`python -m benchmarks.retrieval_sets FOLDER > judged.jsonl` writes one as `rerankd tune` reads it.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerankd.evaluation.measures.ranking import ndcg, reciprocal_rank


@dataclass(frozen=True)
class LabelledQuery:
    """A query, its candidates in BM25 order, and what people judged."""

    text: str
    candidates: Sequence[str]
    """Texts, title first."""
    gains: Sequence[int]
    """Relevance of each candidate; 0 where it was not judged."""
    ideal_gains: Sequence[int]
    """Relevance of every judged document, the candidates' or not."""


def read_set(folder: Path, most_queries: int | None = None) -> list[LabelledQuery]:
    """Read a set; its queries are in the order of a hash, so the first n are a fair sample."""
    corpus = {row["id"]: f"{row['title']} {row['text']}".strip() for row in _rows(folder / "corpus.jsonl.gz")}
    candidates = _pairs(folder / "candidates.tsv.gz")
    judged = {query: dict(pairs) for query, pairs in _pairs(folder / "qrels.tsv.gz").items()}
    queries: list[LabelledQuery] = []
    for row in _rows(folder / "queries.jsonl.gz"):
        if most_queries is not None and len(queries) == most_queries:
            break
        gains = judged.get(row["id"], {})
        ranked = sorted(candidates.get(row["id"], []), key=lambda pair: pair[1])
        if ranked:
            queries.append(
                LabelledQuery(
                    row["text"],
                    [corpus[document] for document, _ in ranked],
                    [gains.get(document, 0) for document, _ in ranked],
                    list(gains.values()),
                )
            )
    return queries


def _rows(file: Path) -> Iterator[Mapping[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _pairs(file: Path) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for query, document, number in csv.reader(lines, delimiter="\t"):
            found.setdefault(query, []).append((document, int(number)))
    return found


def ndcg_at_10(query: LabelledQuery, order: Sequence[int]) -> float:
    """Normalised discounted cumulative gain of the first ten, gains as judged; 0 without a relevant document."""
    return ndcg([query.gains[position] for position in order], query.ideal_gains) or 0.0


def mrr_at_10(query: LabelledQuery, order: Sequence[int]) -> float:
    """Reciprocal rank of the first relevant document among the first ten, 0 without one."""
    return reciprocal_rank([query.gains[position] for position in order])


def main() -> None:
    """Write the set in a folder as judged queries; grades are those of the candidates."""
    for query in read_set(Path(sys.argv[1])):
        judged = {"query": query.text, "documents": query.candidates, "grades": query.gains}
        print(json.dumps(judged, ensure_ascii=False))


if __name__ == "__main__":
    main()
