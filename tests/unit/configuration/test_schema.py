"""The published schema says what the loader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from rerankd.settings import NOT_SETTINGS, Settings, SettingsError, load_settings
from scripts.generate_settings_schema import PATH
from scripts.generator.settings_schema import render_schema

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads(render_schema())
EXAMPLE = ROOT / "server" / "rerankd.example.yaml"


def is_valid(value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(value))


def test_the_committed_schema_is_what_the_types_say() -> None:
    assert (ROOT / PATH).read_text(encoding="utf-8") == render_schema(), "run make generate"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_example_names_the_schema_and_fits_it() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    _, _, named = text.splitlines()[0].partition("# yaml-language-server: $schema=")
    assert (EXAMPLE.parent / named) == ROOT / PATH
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))


def test_every_setting_is_described() -> None:
    structs = {"": SCHEMA} | {name: each for name, each in SCHEMA["$defs"].items() if "properties" in each}
    silent = [
        f"{name}.{key}"
        for name, definition in structs.items()
        for key, each in definition["properties"].items()
        if not each.get("description")
    ]
    assert silent == []
    assert SCHEMA["properties"].keys() == set(Settings.__struct_fields__) - NOT_SETTINGS
    assert all(each["additionalProperties"] is False for each in structs.values())


@pytest.mark.parametrize(
    "value",
    [
        {"server": {"http_port": 1}},
        {"server": {"http_port": "${PORT}"}},
        {"server": {"http_port": "eighty"}},
        {"server": {"htp_port": 1}},
        {"log": {"level": "loud"}},
        {"log": {"level": "${LEVEL}"}},
        {"local": {"threads": None, "enabled": "${ON:-true}"}},
        {"local": {"enabled": "yes"}},
        {"local": {"models": {"mine": {"kind": "colbert", "path": "x"}}}},
        {"local": {"models": {"mine": {"path": "x"}}}},
        {"providers": {"cohere": {"models": {"*": {"max_documents": "${MANY}"}}}}},
        {"providers": {"cohere": {"models": {"*": {"max_documents": "many"}}}}},
        {"providers": {"cohere": {"models": {"*": {"scoring": "listwise"}}}}},
        {"providers": {"cohere": {"models": {"*": {"scoring": "${SCORING}"}}}}},
        {"providers": {"cohere": {"models": {"*": {"scoring": "otherwise"}}}}},
        {"providers": {"cohere": {"options": {"anything": [1, {"a": None}]}}}},
        {"aliases": {"a": 1}},
        {"source": "x"},
    ],
)
def test_schema_and_loader_agree(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"PORT": "8099", "LEVEL": "info", "MANY": "7", "SCORING": "pointwise"}.items():
        monkeypatch.setenv(name, text)
    file = tmp_path / "rerankd.yaml"
    file.write_bytes(msgspec.json.encode(value))
    try:
        load_settings(file)
    except SettingsError:
        assert not is_valid(value)
    else:
        assert is_valid(value)
