"""What a declaration says of reported usage is what the recordings show."""

from __future__ import annotations

import pytest

from rerankd_adapters.registry import find_provider
from tests.conformance.suite import RECORDINGS

REPLIES = [
    (recording.provider, case.call.model, case.reply)
    for recording in RECORDINGS.values()
    for case in recording.cases
    if case.reply is not None
]


@pytest.mark.parametrize("name", sorted({name for name, _, _ in REPLIES}))
def test_units_of_recorded_replies_are_declared(name: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    for unit, count in (("token", "prompt_tokens"), ("search_unit", "search_units")):
        seen = {model for each, model, reply in REPLIES if each == name and reply.get(count)}
        assert all(provider.reports(unit, model) for model in seen)
