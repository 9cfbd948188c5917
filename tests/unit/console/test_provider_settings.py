"""What `rerankd check-config` says of providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.canary import CANARY_SECRET

if TYPE_CHECKING:
    from tests.unit.console.conftest import Run

KEY = CANARY_SECRET


@pytest.fixture(autouse=True)
def _no_provider_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("COHERE_API_KEY", "CO_API_KEY", "TEI_API_BASE", "HUGGINGFACE_API_BASE", "HF_API_BASE"):
        monkeypatch.delenv(variable, raising=False)


async def test_check_config_reports_every_problem(run: Run, tmp_path: Path) -> None:
    providers: dict[str, Any] = {
        "cohre": {"api_key": KEY},
        "cohere": {"options": {"api_versoin": "1", "x": 1}},
        "ranker": {"provider": "generc"},
        "tei": {},
        "generic": {"base_url": "http://10.0.0.1", "options": {"shape": "square"}},
        "voyage": {"api_key": KEY, "models": {"rerank-2": {"tokenizer": "none/tokenizer.json"}}},
    }
    config = tmp_path / "rerankd.yaml"
    config.write_text(json.dumps({"providers": providers}))

    outcome = await run("check-config", str(config))

    problems = [line.removeprefix("  - ") for line in outcome.err.splitlines() if line.startswith("  - ")]
    assert outcome.exit_code == 1
    assert problems == [
        "providers.cohre: there is no provider cohre; did you mean cohere?",
        "providers.cohere.options.api_versoin is not an option of cohere; did you mean api_version?",
        "providers.cohere.options.x is not an option of cohere",
        "providers.cohere.api_key is missing; set it, or COHERE_API_KEY or CO_API_KEY",
        "providers.ranker.provider: there is no provider generc; did you mean generic?",
        "providers.tei.base_url is missing: Text Embeddings Inference has no public address",
        "providers.generic: the generic provider has no shape square",
        'providers.voyage.models."rerank-2".tokenizer: there is no file none/tokenizer.json',
    ]
    assert KEY not in outcome.err


async def test_check_config_reports_the_transport(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "rerankd.yaml"
    config.write_text(f"transport: {{ca_file: {tmp_path}/none.pem}}\n")

    outcome = await run("check-config", str(config))

    assert outcome.exit_code == 1
    assert "transport: " in outcome.err
    assert "none.pem" in outcome.err


async def test_check_config_reports_the_problems_of_every_kind_at_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSET_KEY", raising=False)
    config = tmp_path / "rerankd.yaml"
    config.write_text("""
server: {http_port: 99999, workers: many}
log: {sample: 3}
limit: {}
default_model: local/defalt
providers:
  cohre: {api_key: k}
  cohere: {api_key: "${UNSET_KEY}", timeout_s: soon}
  voyage: {api_key: 5}
aliases: {fast: local/nope, broken: cohere/rerank-v3.5, quick: search}
models:
  search: {deployments: [{model: voyage/rerank-2.5}, {model: nobody/x}], fallbacks: [local/zz, none]}
  other: {deployments: [{model: local/bm25, weight: -2}, {model: local/bm52}]}
""")

    outcome = await run("check-config", str(config))

    problems = [line.removeprefix("  - ") for line in outcome.err.splitlines() if line.startswith("  - ")]
    assert outcome.exit_code == 1
    assert problems == [
        "providers.cohere.api_key: environment variable UNSET_KEY is not set",
        'server.workers: expected `int`, got `str` "many"',
        "limit is not a setting; did you mean limits?",
        'providers.cohere.timeout_s: expected `float`, got `str` "soon"',
        "providers.voyage.api_key: expected `str`, got `int`",
        "server.http_port must be 0 to 65535, is 99999",
        "log.sample must be 0 to 1, is 3.0",
        "models.other.deployments[0].weight must be at least 0, is -2",
        "providers.cohre: there is no provider cohre; did you mean cohere?",
        "models.search.fallbacks[1]: model none not found; the list of models has all that are served",
        "models.search.deployments[1].model: there is no provider nobody",
        "models.search.fallbacks[0]: model local/zz not found; did you mean local/bm25?",
        "models.other.deployments[1].model: model local/bm52 not found; did you mean local/bm25?",
        "aliases.fast: model local/nope not found; did you mean local/default?",
        "default_model: model local/defalt not found; did you mean local/default?",
    ]
