from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rerankd.engine.scoring.tokens import ESTIMATE, counter_for
from rerankd.local.specs import MS_MARCO
from rerankd_adapters.base import Capabilities

ENGLISH = "The estimate has to be a little high, for ordinary words of ordinary texts like these. " * 20
CHINESE = "我们今天去北京看长城。" * 30


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 2), ("日本", 2), ("\ud800", 1), ("я" * 6, 4), ("😀", 2)]
)
def test_the_estimate_is_a_third_of_the_bytes(text: str, tokens: int) -> None:
    assert ESTIMATE.count(text) == tokens


def tokenizer_file(folder: Path) -> Path:
    file = folder / "tokenizer.json"
    file.write_bytes(MS_MARCO.tokenizer.read())
    return file


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_the_models_own_tokenizer_counts_where_it_is_declared(tmp_path: Path, text: str) -> None:
    counter = counter_for(Capabilities(tokenizer=str(tokenizer_file(tmp_path))))
    assert counter.is_exact
    assert counter.count("\ud800 and a word") > 2
    counted = counter.count(text)
    assert counted <= ESTIMATE.count(text) <= 2 * counted


def test_without_a_tokenizer_the_estimate_counts() -> None:
    assert counter_for(Capabilities()) is ESTIMATE


@pytest.mark.parametrize("content", [None, "{}", "no json", "\xff"])
def test_a_tokenizer_that_cannot_be_read_is_logged_once(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    with capture_logs() as logs:
        assert counter_for(Capabilities(tokenizer=str(file))) is ESTIMATE
        assert counter_for(Capabilities(tokenizer=str(file))) is ESTIMATE
    assert [line["event"] for line in logs] == ["tokenizer_unusable"]
