from __future__ import annotations

import pytest

from benchmarks.strategies_fusion import compare


def test_a_reranker_is_compared_with_the_best_model_by_query() -> None:
    found = compare("fusion", [0.5, 0.7, 0.6], {"a": [0.1, 0.2, 0.3], "b": [0.4, 0.6, 0.5]})

    assert found.model == "b"
    assert [found.ndcg, found.model_ndcg] == pytest.approx([0.6, 0.5])
    assert found.gain.low == found.gain.mean == found.gain.high == pytest.approx(0.1)
    assert not found.is_loss


@pytest.mark.parametrize(("own", "is_loss"), [([0.2] * 20, True), ([0.2, 0.9] * 10, False), ([0.5] * 20, False)])
def test_only_a_loss_beyond_noise_is_one(own: list[float], is_loss: bool) -> None:
    assert compare("fusion", own, {"a": [0.5] * 20}).is_loss is is_loss
