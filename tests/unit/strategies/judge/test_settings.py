"""What check-config, and with it the start and a reload, say of rerankers that judge with chat models."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerankd.cli import main

JUDGE = "  mine: {strategy: llm-judge, config: {model: %s}}\n"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "rerankers:\n" + JUDGE % "openai/gpt-4.1-mini, prompt: '{query}'",
            [
                "rerankers.mine.config.prompt needs the placeholder {document}",
                "rerankers.mine.config.model: model openai/gpt-4.1-mini not found; provider openai is not configured:"
                " set OPENAI_API_KEY or add providers.openai to the settings",
            ],
        ),
        (
            "providers: {openai: {api_key: x, options: {label_reading: guess}}}\nrerankers:\n"
            + JUDGE % "openai/gpt-4.1-mini",
            [
                "providers.openai: label_reading must be one of auto, logprob_token_ids, top_logprobs,"
                " generative_scoring, json_schema, text"
            ],
        ),
        (
            "providers: {cohere: {api_key: x}}\nrerankers:\n" + JUDGE % "cohere/rerank-v3.5",
            ["rerankers.mine.config.model: cohere/rerank-v3.5 cannot chat: cohere/rerank-v3.5 is a rerank model"],
        ),
        (
            "rerankers:\n" + JUDGE % "local/bm25, concurency: 2",
            [
                "rerankers.mine.config.concurency is not a setting; did you mean rerankers.mine.config.concurrency?",
                "rerankers.mine.config.model: local/bm25 cannot chat: provider local has no chat models",
            ],
        ),
    ],
)
def test_problems_name_the_key(
    text: str, problems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = tmp_path / "rerankd.yaml"
    config.write_text(text, encoding="utf-8")
    assert main(["check-config", str(config)]) != 0
    said = [line.strip().removeprefix("- ") for line in capsys.readouterr().err.splitlines()]
    assert said[1:] == problems
