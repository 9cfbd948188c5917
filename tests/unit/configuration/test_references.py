"""What stands in the place of values: variables, files, defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerankd.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REF_SET", "value")
    monkeypatch.setenv("REF_EMPTY", "")
    monkeypatch.setenv("REF_PORT", "8099")
    monkeypatch.setenv("REF_DIGITS", "0012")
    monkeypatch.setenv("REF_NESTED", "${REF_SET}")
    monkeypatch.delenv("REF_UNSET", raising=False)


def load(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "rerankd.yaml"
    file.write_text(text)
    return load_settings(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    return raised.value.problems


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${REF_SET}", "value"),
        ("a-${REF_SET}-${REF_PORT}", "a-value-8099"),
        ("${REF_UNSET:-other}", "other"),
        ("${REF_EMPTY:-other}", "other"),
        ("${REF_SET:-other}", "value"),
        ("${REF_UNSET:-}", ""),
        ("${REF_EMPTY}", ""),
        ("$${REF_SET}", "${REF_SET}"),
        ("$$${REF_SET}", "$${REF_SET}"),
        ("$REF_SET {REF_SET} $5", "$REF_SET {REF_SET} $5"),
        ("${REF_DIGITS}", "0012"),
        ("${REF_NESTED}", "${REF_SET}"),
    ],
)
def test_text(tmp_path: Path, written: str, meant: str) -> None:
    loaded = load(tmp_path, f"providers: {{cohere: {{api_key: '{written}', headers: {{x: '{written}'}}}}}}\n")
    assert loaded.providers["cohere"].api_key == meant
    assert loaded.providers["cohere"].headers == {"x": meant}
    assert type(loaded.providers["cohere"].api_key) is str


def test_numbers_truth_values_words_and_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REF_TRUE": "true", "REF_HALF": "0.5", "REF_LEVEL": "debug", "REF_NULL": "null"}.items():
        monkeypatch.setenv(name, value)
    loaded = load(
        tmp_path,
        "server: {http_port: '${REF_PORT}', drain_delay_s: '${REF_HALF}'}\nlog: {level: '${REF_LEVEL}'}\n"
        "local: {enabled: '${REF_TRUE}', threads: '${REF_NULL}'}\n",
    )
    assert (loaded.server.http_port, loaded.server.drain_delay_s, loaded.log.level) == (8099, 0.5, "debug")
    assert (loaded.local.enabled, loaded.local.threads) == (True, None)


def test_text_that_is_no_number_is_refused_only_where_one_is_wanted(tmp_path: Path) -> None:
    assert problems(tmp_path, "server: {http_port: '${REF_SET}'}\n") == ["server.http_port: expected `int`, got `str`"]
    assert problems(tmp_path, "server: {http_port: '8081'}\n") == ['server.http_port: expected `int`, got `str` "8081"']


def test_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\nof two lines\r\n\n")
    (tmp_path / "port").write_text("8099\n")
    loaded = load(
        tmp_path,
        f"providers: {{cohere: {{api_key: '${{file:key}}', base_url: 'x${{file:{tmp_path}/key}}'}}}}\n"
        "server: {http_port: '${file:port}'}\n",
    )
    assert loaded.providers["cohere"].api_key == "secret\nof two lines"
    assert loaded.providers["cohere"].base_url == "xsecret\nof two lines"
    assert loaded.server.http_port == 8099


def test_every_reference_that_cannot_be_followed_is_named_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    text = """
providers:
  cohere: {api_key: "${REF_UNSET}", headers: {x: "${file:nowhere}"}}
  tei: {base_url: "${file:binary}", options: {path: ["${REF_UNSET}"]}}
  voyage: {api_key: "${ REF_SET}", base_url: "${file:.}"}
"""
    assert problems(tmp_path, text) == [
        "providers.cohere.api_key: environment variable REF_UNSET is not set",
        f"providers.cohere.headers.x: {tmp_path}/nowhere cannot be read: No such file or directory",
        f"providers.tei.base_url: {tmp_path}/binary is not UTF-8 text",
        "providers.tei.options.path[0]: environment variable REF_UNSET is not set",
        "providers.voyage.api_key: `${` begins no reference; write ${NAME}, ${file:PATH}, or $${ for itself",
        f"providers.voyage.base_url: {tmp_path} cannot be read: Is a directory",
    ]


def test_variables_of_ours_carry_mappings_lists_and_text_of_any_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_ALIASES", '{"fast": "local/bm25"}')
    monkeypatch.setenv("RERANKD_PROVIDERS", "tei: {base_url: http://tei, models: {'*': {max_documents: 8}}}")
    monkeypatch.setenv("RERANKD_PROVIDERS__COHERE__API_KEY", "0012")
    monkeypatch.setenv("RERANKD_PROVIDERS__VOYAGE__API_KEY", "${REF_SET}")
    monkeypatch.setenv("RERANKD_PROVIDERS__GENERIC__OPTIONS__DEPTH", "3")
    monkeypatch.setenv("RERANKD_LOCAL__THREADS", "null")
    loaded = load_settings()
    assert loaded.aliases == {"fast": "local/bm25"}
    assert loaded.providers["tei"].models["*"].max_documents == 8
    assert loaded.providers["cohere"].api_key == "0012"
    assert loaded.providers["voyage"].api_key == "value"
    assert loaded.providers["generic"].options == {"depth": 3}
    assert loaded.local.threads is None


def test_a_variable_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_ALIASES", "{fast: [")
    with pytest.raises(SettingsError, match="aliases: variable RERANKD_ALIASES is neither YAML nor JSON"):
        load_settings()
