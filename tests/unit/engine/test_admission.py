"""Admission: calls in flight, and the share of them that one provider may hold."""

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.admission import Admission


def admitted(admission: Admission, provider: str, most: int) -> int:
    """Let calls to a provider come in until one is refused; return how many hold a slot."""
    for count in range(most):
        try:
            admission.enter()
        except ServiceError:
            return count
        try:
            admission.hold(provider)
        except ServiceError:
            admission.leave()
            return count
    return most


def test_a_provider_holds_its_share_and_leaves_the_rest_to_others() -> None:
    admission = Admission(1024, 0.5)
    assert admitted(admission, "hung", 2000) == 512
    assert admitted(admission, "other", 2000) == 256
    assert admitted(admission, "third", 2000) == 128
    assert admitted(admission, "local/bm25", 60) == 60


def test_places_that_others_leave_are_free_again() -> None:
    admission = Admission(100, 0.5)
    assert admitted(admission, "a", 100) == 50
    assert admitted(admission, "b", 100) == 25
    for _ in range(50):
        admission.release("a")
        admission.leave()
    assert (admission.held_by("a"), admission.held_by("b"), admission.in_flight) == (0, 25, 25)
    assert admitted(admission, "b", 100) == 25


@pytest.mark.parametrize(
    ("limit", "share", "held"), [(1, 0.5, 1), (2, 0.5, 1), (4, 0.5, 2), (3, 1.0, 3), (10, 0.8, 8), (5, 0.01, 1)]
)
def test_a_share_is_a_place_at_least_and_all_of_them_at_most(limit: int, share: float, held: int) -> None:
    assert admitted(Admission(limit, share), "a", 100) == held


def test_a_refusal_names_provider_and_limit() -> None:
    admission = Admission(2, 0.5)
    assert admitted(admission, "cohere", 2) == 1
    admission.enter()
    with pytest.raises(ServiceError, match="1 calls to cohere are in flight, its share of the 2") as raised:
        admission.check("cohere")
    assert (raised.value.reason, raised.value.retry_after_s) == (Reason.OVERLOADED, 1.0)
    assert raised.value.metadata["limit"] == "max_provider_share"
    admission.check("voyage")
    with pytest.raises(ServiceError, match="2 calls are in flight") as raised:
        admission.enter()
    assert raised.value.metadata["limit"] == "max_concurrent_calls"
