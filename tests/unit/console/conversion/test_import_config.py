"""`rerankd import-config litellm`: what is taken over, what is left out, and that the result can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rerankd.console.conversion.litellm_config import import_config
from rerankd.console.conversion.litellm_entries import read_entry
from rerankd.settings import Settings, load_settings
from tests.unit.console.conftest import Run

CONFIG = """
model_list:
  - model_name: search
    litellm_params: {model: cohere/rerank-v3.5, api_key: os.environ/IMPORT_KEY, rpm: 900, weight: 2, timeout: 5}
    model_info: {mode: rerank, id: one}
  - model_name: search
    litellm_params: {model: cohere/rerank-v3.5, api_key: "sk-literal-${x}", weight: 1, tpm: 1000}
  - model_name: search
    litellm_params:
      {model: bedrock/cohere.rerank-v3-5:0, aws_region_name: us-west-2, aws_access_key_id: AKIA-SECRET, weight: 1}
    model_info: {mode: rerank}
  - model_name: own
    litellm_params:
      model: BAAI/bge-m3
      custom_llm_provider: hosted_vllm
      api_base: http://vllm:8000/v1
      max_parallel_requests: 8
      input_cost_per_token: 0.00000002
    model_info: {mode: rerank}
  - {model_name: jina, litellm_params: {model: jina_ai/jina-reranker-v2, api_key: os.environ/IMPORT_KEY}}
  - {model_name: shared, litellm_params: {model: voyage/rerank-2, litellm_credential_name: house, api_base: http://voyage}}
  - {model_name: bare, litellm_params: {model: rerank-english-v3.0, api_key: os.environ/IMPORT_KEY}}
  - {model_name: gpt-4, litellm_params: {model: azure/gpt-4, api_key: CHAT-SECRET}, model_info: {mode: chat}}
  - {model_name: embed, litellm_params: {model: voyage/voyage-3}}
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o}}
  - {model_name: "*", litellm_params: {model: "cohere/*"}}
  - {model_name: broken}
credential_list:
  - {credential_name: house, credential_values: {api_key: os.environ/IMPORT_KEY}}
router_settings:
  routing_strategy: latency-based-routing
  num_retries: 3
  cooldown_time: 30
  redis_password: REDIS-SECRET
  fallbacks: [{search: [own, gpt-4]}, {gpt-4: [gpt-4o]}]
  model_group_alias: {quick: own, chat: gpt-4, veiled: {model: jina, hidden: true}}
litellm_settings: {drop_params: true, request_timeout: 20, default_fallbacks: [jina], success_callback: [langfuse]}
general_settings: {master_key: sk-MASTER-SECRET}
environment_variables: {SOME_VARIABLE: VARIABLE-SECRET}
"""
SECRETS = ("AKIA-SECRET", "CHAT-SECRET", "REDIS-SECRET", "MASTER-SECRET", "VARIABLE-SECRET")


@pytest.fixture
def imported() -> Any:
    return import_config(yaml.safe_load(CONFIG))


def test_equal_entries_share_a_provider_and_others_get_their_own(imported: Any) -> None:
    assert imported.settings["providers"] == {
        "cohere": {"timeout_s": 5, "api_key": "${IMPORT_KEY}"},
        "cohere-2": {"provider": "cohere", "timeout_s": 20, "api_key": "sk-literal-$${x}"},
        "bedrock": {"timeout_s": 20, "options": {"region": "us-west-2"}},
        "vllm": {
            "timeout_s": 20,
            "base_url": "http://vllm:8000/v1",
            "models": {"BAAI/bge-m3": {"usd_per_million_tokens": pytest.approx(0.02)}},
        },
        "jina": {"timeout_s": 20, "api_key": "${IMPORT_KEY}"},
        "voyage": {"timeout_s": 20, "api_key": "${IMPORT_KEY}", "base_url": "http://voyage"},
        "cohere-3": {"provider": "cohere", "timeout_s": 20, "api_key": "${IMPORT_KEY}"},
    }


def test_entries_of_one_name_become_deployments_of_one_model(imported: Any) -> None:
    assert imported.settings["models"] == {
        "search": {
            "deployments": [
                {"model": "cohere/rerank-v3.5", "requests_per_minute": 900, "weight": 2},
                {"model": "cohere-2/rerank-v3.5", "weight": 1, "tokens_per_minute": 1000},
                {"model": "bedrock/cohere.rerank-v3-5:0", "weight": 1},
            ],
            "balancing": "latency",
            "fallbacks": ["own"],
        },
        "own": {"deployments": [{"model": "vllm/BAAI/bge-m3", "max_concurrent": 8}], "fallbacks": ["jina"]},
        "jina": {"deployments": [{"model": "jina/jina-reranker-v2"}]},
        "shared": {"deployments": [{"model": "voyage/rerank-2"}], "fallbacks": ["jina"]},
        "bare": {"deployments": [{"model": "cohere-3/rerank-english-v3.0"}], "fallbacks": ["jina"]},
    }
    assert imported.settings["aliases"] == {"quick": "own", "veiled": "jina"}


@pytest.mark.parametrize(
    ("params", "facts", "notices"),
    [
        ("{model: hosted_vllm/a-reranker, input_cost_per_query: 0.002}", {"usd_per_call": 0.002}, 0),
        ("{model: cohere/rerank-v3.5, input_cost_per_query: 0.002}", {"usd_per_million_search_units": 2000}, 0),
        (
            "{model: bedrock/cohere.rerank-v3-5:0, input_cost_per_query: 0.002}",
            {"usd_per_million_search_units": 2000},
            0,
        ),
        (
            "{model: hosted_vllm/a-reranker, input_cost_per_token: 0.0, input_cost_per_query: 0.002}",
            {"usd_per_call": 0.002},
            0,
        ),
        ("{model: hosted_vllm/a-reranker, input_cost_per_token: 1, input_cost_per_query: 2}", {"usd_per_call": 2}, 1),
        ("{model: hosted_vllm/a-reranker, input_cost_per_query: 2, input_cost_per_token: 1}", {"usd_per_call": 2}, 1),
        ("{model: vertex/semantic-ranker-512@latest, input_cost_per_token: 1}", {}, 1),
        ("{model: hosted_vllm/a-reranker, input_cost_per_query: x}", {}, 1),
    ],
)
def test_prices_are_in_a_unit_that_the_provider_reports(params: str, facts: dict[str, float], notices: int) -> None:
    entry = read_entry({"model_name": "m", "litellm_params": yaml.safe_load(params)}, {})
    assert entry.facts == facts
    assert len(entry.notices) == notices


def test_what_is_left_out_is_named_with_the_reason(imported: Any) -> None:
    assert imported.skipped == [
        "model_list[7] gpt-4: model_info.mode is chat",
        "model_list[8] embed: it does not look like a reranker; set model_info.mode to rerank if it is one",
        "model_list[9] gpt-4o: there is no provider openai that reranks",
        "model_list[10] *: it is a wildcard; every model of a configured provider can be called as provider/model",
        "model_list[11] broken: it has no litellm_params",
    ]
    assert imported.notices == [
        "model_list[0] search: model_info.id has no counterpart",
        "model_list[1] search: api_key is written out; a reference such as ${NAME} or ${file:PATH} is safer",
        "model_list[2] search: litellm_params.aws_access_key_id has no counterpart; credentials come from the"
        " environment or the AWS profile",
        "router_settings.fallbacks: search: gpt-4 is not among the rerank models",
        "router_settings.fallbacks: gpt-4 is not among the rerank models",
        "router_settings.model_group_alias.chat: gpt-4 is not among the rerank models",
        "router_settings.model_group_alias.veiled: hidden has no counterpart, aliases are listed",
        "router_settings.num_retries is not taken over: see retries below models",
        "router_settings.cooldown_time is not taken over",
        "router_settings.redis_password is not taken over",
        "litellm_settings.drop_params is not taken over: what a provider does not take is left out, with a warning",
        "litellm_settings.success_callback is not taken over",
        "general_settings.master_key is not taken over",
        "environment_variables is not taken over: set them in the environment",
    ]


async def test_the_result_loads_with_our_own_loader(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "config.yaml", tmp_path / "rerankd.yaml"
    source.write_text(CONFIG)
    outcome = await run("import-config", "litellm", str(source), "--output", str(output))
    labels = {line.partition(": ")[0] for line in outcome.err.splitlines()}
    assert labels == {"left out", "to be looked at"}
    assert outcome.exit_code == 0
    text = output.read_text()
    assert not [secret for secret in SECRETS if secret in text + outcome.out + outcome.err]
    assert output.stat().st_mode & 0o777 == 0o600
    settings = yaml.safe_load(text)
    if "models" not in Settings.__struct_fields__:
        del settings["models"]
    (tmp_path / "checked.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("IMPORT_KEY", "key-of-the-environment")
    loaded = load_settings(tmp_path / "checked.yaml")
    assert loaded.providers["cohere"].api_key == "key-of-the-environment"
    assert loaded.providers["cohere-2"].api_key == "sk-literal-${x}"
    assert loaded.aliases["quick"] == "own"


async def test_the_result_goes_to_standard_output_with_its_notices_as_comments(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "config.yaml"
    source.write_text(CONFIG)
    outcome = await run("import-config", "litellm", str(source))
    assert outcome.exit_code == 0
    assert "# - model_list[7] gpt-4: model_info.mode is chat\n" in outcome.out
    assert yaml.safe_load(outcome.out)["aliases"] == {"quick": "own", "veiled": "jina"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("[]", "has no model_list"),
        ("model_list: {}", "has no model_list"),
        ("model_list: []", "has no rerank model"),
        ("model_list: [{model_name: gpt, litellm_params: {model: openai/gpt-4}}]", "no provider openai that reranks"),
        ("model_list: [1, null, {litellm_params: 5}]", "it has no litellm_params"),
    ],
)
async def test_a_file_without_rerank_models_is_refused(run: Run, tmp_path: Path, text: str, message: str) -> None:
    source = tmp_path / "config.yaml"
    source.write_text(text)
    outcome = await run("import-config", "litellm", str(source))
    assert (outcome.exit_code, outcome.out) == (1, "")
    assert message in " ".join(outcome.err.split())


async def test_an_existing_file_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "config.yaml", tmp_path / "rerankd.yaml"
    source.write_text(CONFIG)
    output.write_text("mine")
    outcome = await run("import-config", "litellm", str(source), "--output", str(output))
    assert outcome.exit_code == 1
    assert "exists already" in outcome.err
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("strategy", "balancing"),
    [
        (None, "weighted"),
        ("simple-shuffle", "weighted"),
        ("least-busy", "least-in-flight"),
        ("latency-based-routing", "latency"),
        ("usage-based-routing", "usage"),
        ("usage-based-routing-v2", "usage"),
        ("cost-based-routing", "cost"),
        ("provider-budget-routing", None),
    ],
)
def test_strategies(strategy: str | None, balancing: str | None) -> None:
    entries = [
        {"model_name": "m", "litellm_params": {"model": f"cohere/rerank-v{number}", "rpm": number * 100}}
        for number in (1, 9)
    ]
    imported = import_config(
        {"model_list": entries, "router_settings": {"routing_strategy": strategy} if strategy else {}}
    )
    model = imported.settings["models"]["m"]
    assert model.get("balancing") == balancing
    assert [each.get("weight") for each in model["deployments"]] == (
        [100, 900] if balancing == "weighted" else [None] * 2
    )
    assert bool([each for each in imported.notices if "counterpart" in each]) is (balancing is None)


def test_a_fallback_for_every_model() -> None:
    entries = [{"model_name": name, "litellm_params": {"model": f"cohere/rerank-{name}"}} for name in ("a", "b")]
    imported = import_config({"model_list": entries, "litellm_settings": {"fallbacks": [{"*": ["b"]}]}})
    assert imported.settings["models"]["a"]["fallbacks"] == ["b"]
    assert "fallbacks" not in imported.settings["models"]["b"]
