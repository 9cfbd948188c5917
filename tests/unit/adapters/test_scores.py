from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rerankd_adapters.scores import sigmoid

logits = st.floats(allow_nan=False, allow_infinity=False)


def test_sigmoid_does_not_overflow() -> None:
    assert [sigmoid(logit) for logit in (-1e308, 0, 1e308)] == [0.0, 0.5, 1.0]


@given(logits, logits)
def test_sigmoid_keeps_the_order(one: float, other: float) -> None:
    assert (sigmoid(one) <= sigmoid(other)) or one > other
