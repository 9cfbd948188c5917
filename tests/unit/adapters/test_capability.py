"""How capabilities of one model from several sources, or of several deployments, become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd_adapters.base import Capabilities, ScoreSpace, Scoring, Truncation

EVERY_FIELD = Capabilities(
    scoring=Scoring.POINTWISE,
    score_space=ScoreSpace.LOGIT,
    minimum_score=-1.0,
    max_documents=100,
    max_tokens_per_document=512,
    max_total_tokens=5000,
    max_request_bytes=9000,
    cuts_passages=True,
    billing_unit="token",
    truncation_default=Truncation.START,
    truncates=True,
    takes_instruction=True,
    takes_objects=True,
    takes_images=True,
    takes_query_images=True,
    tokenizer="tokenizer.json",
    source="a test",
)
FIELDS = [each.name for each in fields(Capabilities)]

limits = st.none() | st.integers(1, 5)
abilities = st.none() | st.booleans()
capabilities = st.builds(
    Capabilities,
    scoring=st.sampled_from(Scoring),
    score_space=st.sampled_from(ScoreSpace),
    minimum_score=st.sampled_from([None, 0.0, -1.0]),
    max_documents=limits,
    max_tokens_per_document=limits,
    max_total_tokens=limits,
    max_request_bytes=limits,
    cuts_passages=abilities,
    billing_unit=st.sampled_from([None, "token", "search_unit"]),
    truncation_default=st.none() | st.sampled_from(Truncation),
    truncates=abilities,
    takes_instruction=abilities,
    takes_objects=abilities,
    takes_images=abilities,
    takes_query_images=abilities,
    tokenizer=st.sampled_from(["", "a.json", "b.json"]),
    source=st.sampled_from(["", "a table", "the server"]),
)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_overridden_kept_and_shared(name: str) -> None:
    value = getattr(EVERY_FIELD, name)
    assert value != getattr(Capabilities(), name), "give EVERY_FIELD a value that is not the default"
    only = Capabilities(**{name: value})
    assert Capabilities().override(only) == only
    assert only.override(Capabilities()) == only
    assert Capabilities.tightest([only, only]) == only


@given(capabilities)
def test_overriding_with_the_same_changes_nothing(facts: Capabilities) -> None:
    assert facts.override(facts) == facts


@given(capabilities, capabilities, capabilities)
def test_overrides_may_be_joined_first(table: Capabilities, server: Capabilities, settings: Capabilities) -> None:
    assert table.override(server).override(settings) == table.override(server.override(settings))


@given(capabilities, capabilities)
def test_what_is_stated_wins_field_by_field(known: Capabilities, stated: Capabilities) -> None:
    unstated, joined = Capabilities(), known.override(stated)
    for name in FIELDS:
        source = known if getattr(stated, name) == getattr(unstated, name) else stated
        assert getattr(joined, name) == getattr(source, name)


@given(capabilities, st.integers(1, 3))
def test_several_deployments_that_are_alike_are_like_one(facts: Capabilities, count: int) -> None:
    assert Capabilities.tightest([facts] * count) == facts


@given(
    st.lists(capabilities, min_size=2, max_size=4).flatmap(lambda all_: st.tuples(st.just(all_), st.permutations(all_)))
)
def test_the_order_of_deployments_makes_no_difference(
    orders: tuple[Sequence[Capabilities], Sequence[Capabilities]],
) -> None:
    assert Capabilities.tightest(orders[0]) == Capabilities.tightest(orders[1])


@given(st.lists(capabilities, min_size=1, max_size=4))
def test_no_deployment_is_asked_for_more_than_it_takes(deployments: Sequence[Capabilities]) -> None:
    tightest = Capabilities.tightest(deployments)
    for each in deployments:
        for name in ("max_documents", "max_tokens_per_document", "max_total_tokens", "max_request_bytes"):
            limit = getattr(each, name)
            assert limit is None or getattr(tightest, name) <= limit
        for name in ("cuts_passages", "takes_instruction", "takes_objects", "takes_images"):
            assert getattr(each, name) or not getattr(tightest, name)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (Scoring.POINTWISE, Scoring.POINTWISE, Scoring.POINTWISE),
        (Scoring.POINTWISE, Scoring.UNKNOWN, Scoring.UNKNOWN),
        (Scoring.POINTWISE, Scoring.LISTWISE, Scoring.LISTWISE),
        (Scoring.UNKNOWN, Scoring.LISTWISE, Scoring.LISTWISE),
    ],
)
def test_the_scoring_that_permits_least(first: Scoring, second: Scoring, joined: Scoring) -> None:
    assert Capabilities.tightest([Capabilities(scoring=first), Capabilities(scoring=second)]).scoring is joined


def test_an_ability_can_be_denied() -> None:
    denied = EVERY_FIELD.override(Capabilities(takes_instruction=False))
    assert denied == replace(EVERY_FIELD, takes_instruction=False)


def test_limits_abilities_and_spaces_of_different_deployments() -> None:
    search_units = replace(EVERY_FIELD, billing_unit="search_unit", score_space=ScoreSpace.COSINE, max_documents=7)
    tightest = Capabilities.tightest(
        [EVERY_FIELD, search_units, replace(EVERY_FIELD, takes_images=False, tokenizer="")]
    )
    assert tightest == replace(
        EVERY_FIELD,
        billing_unit="search_unit",
        score_space=ScoreSpace.UNKNOWN,
        max_documents=7,
        takes_images=False,
    )
    assert Capabilities.tightest([EVERY_FIELD, replace(EVERY_FIELD, tokenizer="other.json")]).tokenizer == ""


@pytest.mark.parametrize(
    ("scoring", "space", "minimum", "has_scale"),
    [
        (Scoring.POINTWISE, ScoreSpace.PROBABILITY, None, True),
        (Scoring.UNKNOWN, ScoreSpace.LOGIT, None, True),
        (Scoring.LISTWISE, ScoreSpace.COSINE, None, False),
        (Scoring.LISTWISE, ScoreSpace.UNBOUNDED, 0.0, True),
        (Scoring.POINTWISE, ScoreSpace.UNBOUNDED, None, False),
        (Scoring.POINTWISE, ScoreSpace.RELATIVE, None, False),
        (Scoring.UNKNOWN, ScoreSpace.UNKNOWN, None, False),
    ],
)
def test_scale_is_known_by_minimum_or_absolute_space(
    scoring: Scoring, space: ScoreSpace, minimum: float | None, has_scale: bool
) -> None:
    assert Capabilities(scoring=scoring, score_space=space, minimum_score=minimum).has_scale is has_scale
