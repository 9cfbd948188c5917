"""Attacks on prompts gain nothing by structure; what is left is an order that a document gives about itself."""

import pytest

from benchmarks.injection import Attack, gains_of, read_attacks

ATTACKS = read_attacks()


def test_the_set_has_many_kinds_and_languages() -> None:
    assert len(ATTACKS) >= 30
    assert len({attack.kind for attack in ATTACKS}) >= 6
    assert len({attack.language for attack in ATTACKS}) >= 8


@pytest.mark.parametrize(
    "attack", [pytest.param(each, id=f"{each.kind}, {each.name}, {each.language}") for each in ATTACKS]
)
def test_an_attack_that_works_on_plain_prompts_gains_nothing(attack: Attack) -> None:
    gain = gains_of(attack)
    assert gain.listwise == 19
    is_about_itself = attack.kind == "order about itself"
    assert (gain.judge_defended, gain.listwise_defended) == ((19, 19) if is_about_itself else (0, 0))
