"""Codes and statuses of reasons."""

from __future__ import annotations

import pytest

from rerank.v1 import error_reason_pb2
from rerankd.contract.errors import STATUS_OF_REASON, UPSTREAM_FAULTS, Code, Reason


def test_every_reason_of_the_contract_has_a_code_and_a_status() -> None:
    values = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values
    named = {value.name.removeprefix("ERROR_REASON_") for value in values} - {"UNSPECIFIED"}
    assert {reason.value for reason in STATUS_OF_REASON} == named


@pytest.mark.parametrize("reason", sorted(UPSTREAM_FAULTS))
def test_a_providers_fault_is_a_bad_gateway(reason: Reason) -> None:
    assert STATUS_OF_REASON[reason] == (Code.INTERNAL, 502)


def test_only_this_servers_faults_are_500() -> None:
    assert {reason for reason, (_, status) in STATUS_OF_REASON.items() if status == 500} == {Reason.INTERNAL}
