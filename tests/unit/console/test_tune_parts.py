from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from rerankd.console.errors import USAGE, CommandError
from rerankd.console.tune.judged_queries import read_judged_queries
from rerankd.console.tune.weight_search import Evaluation, ScoredQuery, cross_validate, scale, search

LINE = '{"query": "q", "documents": ["a", {"text": "b"}], "grades": [0, 2.5], "note": "kept by others"}'


def noisy_queries(count: int, errors: list[float], seed: int = 1) -> list[ScoredQuery]:
    """Make queries whose members see the grades with errors of these standard deviations."""
    source = random.Random(seed)
    queries = []
    for _ in range(count):
        grades = [float(source.random() < 0.2) for _ in range(30)]
        grades[source.randrange(30)] = 1.0
        columns = [[grade + source.gauss(0, error) for grade in grades] for error in errors]
        queries.append(ScoredQuery(columns, grades))
    return queries


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_reads_lines_and_skips_blank_ones(tmp_path: Path, suffix: str) -> None:
    data = f"\ufeff{LINE}\r\n\n  \n{LINE}".encode()
    file = tmp_path / f"judged.jsonl{suffix}"
    file.write_bytes(gzip.compress(data) if suffix else data)

    queries = read_judged_queries(file)

    assert [query.query for query in queries] == ["q", "q"]
    assert queries[0].documents == ["a", {"text": "b"}]
    assert queries[0].grades == [0, 2.5]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no object"),
        ('{"query": "q", "documents": ["a", "b"]}', "has no `grades`"),
        ('{"documents": ["a", "b"], "grades": [1, 0]}', "has no `query`"),
        ('{"query": " ", "documents": ["a", "b"], "grades": [1, 0]}', "`query` must be a text that is not blank"),
        ('{"query": "q", "documents": ["a"], "grades": [1]}', "`documents` must be a list of at least 2"),
        ('{"query": "q", "documents": ["a", 7], "grades": [1, 0]}', "`documents[1]` must be a text or an object"),
        ('{"query": "q", "documents": ["a", "b"], "grades": 1}', "`grades` must be a list of numbers"),
        ('{"query": "q", "documents": ["a", "b"], "grades": [1, true]}', "`grades[1]` must be a number, 0 or above"),
        ('{"query": "q", "documents": ["a", "b"], "grades": [-1, 0]}', "`grades[0]` must be a number, 0 or above"),
        ('{"query": "q", "documents": ["a", "b"], "grades": [NaN, 0]}', "`grades[0]` must be a number, 0 or above"),
        ('{"query": "q", "documents": ["a", "b"], "grades": [1]}', "2 documents have 1 grades"),
        ("\udcff", "is not JSON"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "judged.jsonl"
    file.write_bytes(f"{LINE}\n{line}\n".encode(errors="surrogateescape"))

    with pytest.raises(CommandError) as caught:
        read_judged_queries(file)

    assert caught.value.message.startswith(f"{file}, line 2")
    assert said in caught.value.message
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty.jsonl", b"\n", "has no judged query"),
        ("no.jsonl.gz", b"not gzip", "cannot read"),
        ("cut.jsonl.gz", gzip.compress(LINE.encode(), mtime=0)[:20], "cannot read"),
        ("missing.jsonl", None, "No such file"),
    ],
)
def test_bad_file(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CommandError, match=said):
        read_judged_queries(tmp_path / name)


def test_ndcg_of_a_known_order() -> None:
    evaluation = Evaluation([ScoredQuery([[0.1, 0.9, 0.5], [3.0, 3.0, 3.0]], [2.0, 0.0, 1.0])])

    assert evaluation.ndcg([1, 0])[0] == pytest.approx((1 / 1.5849625 + 2 / 2) / (2 + 1 / 1.5849625))
    assert evaluation.ndcg([0, 1])[0] == pytest.approx((2 + 1 / 2) / (2 + 1 / 1.5849625))


def test_search_prefers_the_better_member_and_uses_both() -> None:
    evaluation = Evaluation(noisy_queries(80, [0.4, 0.8]))

    weights = search(evaluation, range(80), [(1.0, 1.0)])

    assert weights[0] == 1.0
    assert 0.05 < weights[1] < 0.8


def test_search_leaves_a_member_out_that_only_disturbs() -> None:
    queries = noisy_queries(60, [0.3])
    source = random.Random(7)
    queries = [
        ScoredQuery([*query.columns, [10 * source.gauss(0, 1) for _ in query.grades]], query.grades)
        for query in queries
    ]

    weights = search(Evaluation(queries), range(60), [(1.0, 1.0)])

    assert weights[1] < 0.05


def test_held_out_queries_do_not_teach() -> None:
    queries = noisy_queries(40, [0.6, 0.6, 0.6])
    evaluation = Evaluation(queries)
    starts = [(1.0, 1.0, 1.0)]

    held_out = cross_validate(evaluation, 40, starts)
    learnt = evaluation.ndcg(search(evaluation, range(40), starts))

    assert sum(held_out) < sum(learnt)
    assert len(held_out) == 40


def test_only_member_keeps_its_weight() -> None:
    assert search(Evaluation(noisy_queries(5, [0.5])), range(5), [(3.0,)]) == (1.0,)


def test_only_ratios_of_weights_count() -> None:
    assert scale([2, 4]) == scale([0.5, 1.0]) == (0.5, 1.0)
