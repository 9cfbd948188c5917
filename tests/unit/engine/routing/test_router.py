"""Router: from model names to groups."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.recent_groups import RecentGroups
from rerankd.engine.routing.router import Router, RouterSettingsError
from rerankd.engine.routing.settings import ModelSettings
from rerankd.telemetry.metrics.instruments import metrics
from rerankd_adapters.base import ModelInfo, ProviderCall, ProviderReply
from tests.support.providers import ScriptedProvider, by_length


class AnyName(ScriptedProvider):
    """Has every model it is asked for."""

    def describe(self, model: str) -> ModelInfo | None:
        return ModelInfo(model, self.facts)

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        return await by_length(call)


def router(models: dict[str, Any] | None = None, aliases: dict[str, str] | None = None) -> Router:
    providers = [ScriptedProvider("one", model=by_length, other=by_length), AnyName("any"), AnyName("more")]
    options = msgspec.convert(models or {}, dict[str, ModelSettings])
    return Router(providers, default_model="one/model", aliases=aliases, models=options)


def served_by(group: ModelGroup) -> list[str]:
    return [f"{each.provider.name}/{each.model}" for each in group.deployments]


def deployed(*models: str, **policy: Any) -> dict[str, Any]:
    return {"deployments": [{"model": model} for model in models], **policy}


def test_no_name_is_the_default_model() -> None:
    assert router().resolve("").name == "one/model"


def test_an_alias_leads_to_a_model_of_the_settings() -> None:
    found = router({"search": deployed("one/model", "any/x")}, {"short": "search", "plain": "one/other"})
    assert found.resolve("short").name == "search"
    assert served_by(found.resolve("short")) == ["one/model", "any/x"]
    assert found.resolve("short") is found.resolve("search")
    assert found.resolve("plain").name == "one/other"


def test_the_name_a_model_is_given_goes_before_the_longest_pattern() -> None:
    found = router(
        {
            "*": deployed("any/everything"),
            "team-*": deployed("any/team-*"),
            "team-a-*": deployed("any/a-*", "more/*"),
            "team-a-exact": deployed("one/model"),
            "*-tail": deployed("more/*"),
        }
    )
    wanted = {
        "team-a-exact": ["one/model"],
        "team-a-x": ["any/a-x", "more/x"],
        "team-b": ["any/team-b"],
        "x-tail": ["more/x"],
        "anything": ["any/everything"],
    }
    assert {name: served_by(found.resolve(name)) for name in wanted} == wanted
    assert [found.resolve(name).name for name in wanted] == list(wanted)


def test_a_pattern_needs_both_ends_and_does_not_overlap_itself() -> None:
    found = router({"ab*ba": deployed("any/x*")})
    assert served_by(found.resolve("abba")) == ["any/x"]
    with pytest.raises(ServiceError):
        found.resolve("aba")


def test_a_policy_without_deployments_is_for_the_model_of_that_name() -> None:
    found = router({"any/*": {"fallbacks": ["one/model"], "balancing": "cost"}})
    group = found.resolve("any/thing")
    assert (served_by(group), group.options.balancing) == (["any/thing"], "cost")
    assert found.resolve("more/thing").options.balancing == "weighted"


def test_state_is_kept_between_calls() -> None:
    found = router()
    assert found.resolve("any/x") is found.resolve("any/x")
    assert found.resolve("any/x") is not found.resolve("any/y")


def test_names_that_callers_make_up_do_not_pile_up_nor_drive_out_models_of_the_settings() -> None:
    found = router({"search": deployed("one/model")})
    kept = found.resolve("search")
    for number in range(300):
        found.resolve(f"any/{number}")
        with pytest.raises(ServiceError):
            found.resolve(f"one/{number}")
    assert (len(found._cached_groups), len(found._unknown_groups)) == (0, 64)
    assert found.resolve("search") is kept
    assert [each.name for each in found.deployments()] == ["one/model"]


async def test_a_name_is_in_use_once_its_provider_lists_it_or_has_answered_for_it() -> None:
    found = router()
    assert [name for name in ("one/model", "any/listed", "any/model") if found.resolve(name)]
    assert {each.name for each in found.deployments()} == {"one/model", "any/model"}
    group = found.resolve("more/model-x")
    await group.deployments[0].call(ProviderCall(model="m", query="q", documents=["a"]), 1, None)
    assert found.resolve("more/model-x") is group
    for number in range(100):
        found.resolve(f"any/{number}")
    assert "more/model-x" in {each.name for each in found.deployments()}
    assert found.resolve("more/model-x") is group
    assert [metrics.model(name) for name in ("one/model", "any/7")] == ["one/model", "other"]


def test_most_known_models_that_are_cached() -> None:
    groups = RecentGroups(2)
    made = [router().resolve(f"any/{name}") for name in "abc"]
    groups.keep("a", made[0])
    groups.keep("b", made[1])
    assert groups.get("a") is made[0]
    groups.keep("c", made[2])
    assert (groups.get("b"), len(groups)) == (None, 2)


def test_deployments_of_one_name_are_told_apart() -> None:
    group = router({"search": deployed("any/x", "any/x", "any/x")}).resolve("search")
    assert [each.name for each in group.deployments] == ["any/x", "any/x#2", "any/x#3"]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"a*b*": deployed("one/model")}, "models.a*b*: a name may have at most one *"),
        ({"a": deployed("model")}, "models.a.deployments[0].model must be provider/model, is model"),
        ({"a": deployed("one/model", "one/*")}, "models.a.deployments[1].model has a *"),
        ({"a": deployed("nobody/model")}, "models.a.deployments[0].model: there is no provider nobody"),
        ({"a": deployed("cohere/rerank-v3.5")}, "provider cohere is not configured: set"),
        ({"search": {"cache": False}}, "models.search.deployments"),
        ({"a": deployed("one/model", fallbacks=["nobody/model"])}, "models.a.fallbacks[0]"),
    ],
)
def test_models_that_cannot_be_served_are_refused_at_the_start(models: dict[str, Any], said: str) -> None:
    with pytest.raises(RouterSettingsError) as raised:
        router(models)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["one/modle", "nobody/x", "x", "one/", "/model", "é" * 1000])
def test_unknown_models(name: str) -> None:
    with pytest.raises(ServiceError) as raised:
        router(aliases={"short": "one/model"}).resolve(name)
    assert raised.value.reason is Reason.MODEL_NOT_FOUND
    assert raised.value.violations[0].field == "model"
    assert len(str(raised.value)) < 500


def _bad(**numbers: Any) -> Sequence[str]:
    return msgspec.convert(numbers, ModelSettings).problems("models.m")


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"attempt_timeout_s": 0}, "attempt_timeout_s"),
        ({"adaptive_timeout": {"min_s": 0}}, "adaptive_timeout.min_s"),
        ({"adaptive_timeout": {"initial_s": -1}}, "adaptive_timeout.initial_s"),
        ({"adaptive_timeout": {"multiple": 0.5}}, "adaptive_timeout.multiple"),
        ({"adaptive_timeout": {"max_s": 5}}, "adaptive_timeout.max_s"),
        ({"attempt_timeout_s": -1.5}, "attempt_timeout_s"),
        ({"attempt_timeout_s": float("nan")}, "attempt_timeout_s"),
        ({"retries": {"max_attempts": 0}}, "retries.max_attempts"),
        ({"retries": {"initial_delay_ms": -1}}, "retries.initial_delay_ms"),
        ({"retries": {"max_delay_s": -1}}, "retries.max_delay_s"),
        ({"retries": {"budget": -0.1}}, "retries.budget"),
        ({"retries": {"budget": float("nan")}}, "retries.budget"),
        ({"retries": {"burst": -1}}, "retries.burst"),
        ({"cooldown": {"failures": -1}}, "cooldown.failures"),
        ({"cooldown": {"initial_s": -1}}, "cooldown.initial_s"),
        ({"cooldown": {"max_s": -1}}, "cooldown.max_s"),
        ({"hedge": {"min_delay_ms": -1}}, "hedge.min_delay_ms"),
        ({"hedge": {"budget": -1}}, "hedge.budget"),
        ({"hedge": {"burst": -1}}, "hedge.burst"),
        ({"deployments": [{"model": "a/b"}, {"model": "a/b", "weight": -1}]}, "deployments[1].weight"),
        ({"deployments": [{"model": "a/b", "weight": float("nan")}]}, "deployments[0].weight"),
        ({"deployments": [{"model": "a/b", "weight": float("inf")}]}, "deployments[0].weight"),
        ({"deployments": [{"model": "a/b", "max_concurrent": 0}]}, "deployments[0].max_concurrent"),
        ({"deployments": [{"model": "a/b", "max_queued": -1}]}, "deployments[0].max_queued"),
        ({"deployments": [{"model": "a/b", "requests_per_minute": 0}]}, "deployments[0].requests_per_minute"),
        ({"deployments": [{"model": "a/b", "tokens_per_minute": 0}]}, "deployments[0].tokens_per_minute"),
    ],
)
def test_every_bad_number_is_named(options: dict[str, Any], path: str) -> None:
    (problem,) = _bad(**options)
    assert problem.startswith(f"models.m.{path} must")


def test_numbers_at_the_border_are_good() -> None:
    deployments = [{"model": "a/b", "weight": 0, "max_queued": 0, "max_concurrent": 1}]
    assert not _bad(deployments=deployments, retries={"max_attempts": 1, "budget": 0, "burst": 0})
