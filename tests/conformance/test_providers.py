"""Every provider, over every transport: what is recorded of it, and everything that can go wrong.

`tests.conformance.suite` says which combinations are run, and why not all.
"""

from __future__ import annotations

import pytest

from rerankd.engine.routing.reply_check import check_reply
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderReply
from rerankd_adapters.registry import find_provider, provider_names
from rerankd_adapters.testing import BEHAVIOURS, Behaviour, Case, check_case
from rerankd_adapters.testing.behaviours import is_trustworthy
from tests.conformance.suite import RECORDINGS, REPRESENTATIVES, TRANSPORTS, WIRE_ONLY, Deployments, combinations

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = [(name, case) for name, recording in RECORDINGS.items() for case in recording.all_cases()]
COMBINATIONS = list(combinations())


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case.name}" for name, case in CASES])
async def test_recorded(name: str, case: Case, deployments: Deployments) -> None:
    provider = find_provider(name)
    assert provider is not None
    await check_case(RECORDINGS[name], case, provider, deployments.open)


@pytest.mark.parametrize(
    ("deployments", "name", "behaviour"),
    COMBINATIONS,
    indirect=["deployments"],
    ids=[f"{transport}-{name}-{behaviour.name}" for transport, name, behaviour in COMBINATIONS],
)
async def test_behaviour(name: str, behaviour: Behaviour, deployments: Deployments) -> None:
    provider = find_provider(name)
    assert provider is not None
    await behaviour.check(RECORDINGS[name], provider, deployments.open)


async def test_no_provider_misbehaviour_or_pair_with_a_transport_is_left_out() -> None:
    names = {behaviour.name for behaviour in BEHAVIOURS}
    assert set(REPRESENTATIVES) <= set(RECORDINGS)
    assert names >= WIRE_ONLY
    ran = {(transport, name, behaviour.name) for transport, name, behaviour in COMBINATIONS}
    assert len(ran) == len(COMBINATIONS)
    assert {(transport, behaviour) for transport, _, behaviour in ran} == {
        (transport, behaviour) for transport in TRANSPORTS for behaviour in names
    }
    assert {(name, behaviour) for _, name, behaviour in ran} >= {
        (name, behaviour) for name in RECORDINGS for behaviour in names - WIRE_ONLY
    }


async def test_every_provider_is_recorded() -> None:
    providers = (find_provider(name) for name in provider_names())
    known = {provider.name for provider in providers if provider and provider.adapter and not provider.is_grpc}
    assert known <= RECORDINGS.keys(), f"not in tests/recordings: {known - RECORDINGS.keys()}"


@pytest.mark.parametrize(
    ("indices", "scores"),
    [
        ([0], [0.5]),
        ([0, 1, 1], [0.5, 0.4, 0.3]),
        ([0, 1, 3], [0.5, 0.4, 0.3]),
        ([0, 1, -1], [0.5, 0.4, 0.3]),
        ([0, 1, 2], [0.5, 0.4, float("nan")]),
        ([0, 1, 2], [0.5, 0.4]),
    ],
)
async def test_engine_refuses_what_the_suite_distrusts(indices: list[int], scores: list[float]) -> None:
    reply = ProviderReply(indices=indices, scores=scores)
    assert not is_trustworthy(reply, 3)
    with pytest.raises(AdapterError) as refused:
        check_reply(reply, 3)
    assert refused.value.kind is AdapterErrorKind.BAD_RESPONSE
