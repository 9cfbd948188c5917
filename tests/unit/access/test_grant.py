"""What an identified caller may do."""

from __future__ import annotations

import pytest

from rerankd.access.api_key import ApiKey, KeyDetails
from rerankd.access.grant import Grant, grant_of
from rerankd.access.model_bounds import compile_globs
from rerankd.access.scopes import ALL_SCOPES, Scope
from rerankd.contract.call_context import ANONYMOUS, Caller
from rerankd.contract.errors import Reason, ServiceError


@pytest.mark.parametrize(
    ("globs", "name", "is_allowed"),
    [
        (["cohere/*"], "cohere/rerank-v3.5", True),
        (["cohere/*"], "cohere/", True),
        (["cohere/*"], "Cohere/rerank-v3.5", False),
        (["cohere/*"], "xcohere/rerank-v3.5", False),
        (["cohere/*"], "cohere", False),
        (["cohere/*"], "cohere/a\nb", True),
        (["fast", "local/*"], "fast", True),
        (["fast", "local/*"], "fast\n", False),
        (["fast", "local/*"], "faster", False),
        (["a.c"], "abc", False),
        (["a[b]"], "a[b]", True),
        (["*"], "", True),
        (["*v3*"], "cohere/rerank-v3.5", True),
    ],
)
def test_globs_match_whole_names_and_only_a_star_is_special(globs: list[str], name: str, is_allowed: bool) -> None:
    assert (compile_globs(globs).fullmatch(name) is not None) is is_allowed
    assert Grant(ANONYMOUS, ALL_SCOPES, globs).allows_model(name) is is_allowed


@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_no_scope_includes_another(scope: Scope) -> None:
    grant = Grant(ANONYMOUS, [scope])
    for other in ALL_SCOPES:
        assert grant.allows(other) is (other is scope)
    grant.require(scope)
    grant.require(*ALL_SCOPES)
    others = [other for other in ALL_SCOPES if other is not scope]
    with pytest.raises(ServiceError, match="does not have the scope") as refused:
        grant.require(*others)
    assert refused.value.reason is Reason.INSUFFICIENT_SCOPE
    assert refused.value.metadata == {"scope": " ".join(others)}


def test_a_long_name_of_a_model_is_cut_in_the_refusal() -> None:
    with pytest.raises(ServiceError, match="may not use the model") as refused:
        Grant(ANONYMOUS, ALL_SCOPES, ["a"]).require_model("b" * 10_000)
    assert refused.value.reason is Reason.MODEL_NOT_ALLOWED
    assert refused.value.metadata == {"model": "b" * 100}


def test_the_caller_of_a_key_is_its_owner() -> None:
    details = KeyDetails(name="search", owner="team", group="g")
    assert grant_of(ApiKey(id="k", digest="d", details=details)).caller == Caller("team", "k", ("g",))
    assert grant_of(ApiKey(id="k", digest="d", details=KeyDetails(name="search"))).caller == Caller("search", "k")
    assert grant_of(ApiKey(id="k", digest="d")).caller == Caller("k", "k")
