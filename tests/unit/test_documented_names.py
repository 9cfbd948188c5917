"""Commands, settings and metrics that the documentation names exist, and its settings are valid."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import jsonschema
import msgspec
import pytest
import typer
import yaml

from rerankd.access.scopes import Scope
from rerankd.console.commands.program import app
from rerankd.settings import FIXED, Settings
from rerankd.telemetry.names import METRICS
from scripts.generator.settings_schema import render_schema

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {page.name: page for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"]}
COMMAND: Final = re.compile(r"(?:^|`|\| )rerankd ([a-z-]+[^`\n#|<>]*)", re.MULTILINE)
SETTING: Final = re.compile(r"`([a-z_]+(?:\.[A-Za-z_*-]+)+)`")
METRIC: Final = re.compile(r"`(rerankd_[a-z_]+)\b")
SNIPPET: Final = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
SCHEMA: Final = jsonschema.Draft202012Validator(json.loads(render_schema()))
NOT_SETTINGS: Final = {*Scope, "limits.counts"}
"""Scopes, and a file, whose names begin as a section of the settings does."""
SECTIONS: Final = {field.encode_name for field in msgspec.structs.fields(Settings)}
ENDS: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("", "_bucket", "_count", "_sum")}
SAMPLES: Final = {metric.name + end for metric in METRICS for end in ENDS[metric.kind]}


def mistakes_in_command(words: list[str]) -> Iterator[str]:
    """Yield what a command of `rerankd` has that the program does not."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            yield f"{command.name} {name}"
            return
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    yield from sorted(f"{command.name} {option}" for option in options - known - {"--help"})


def is_setting(annotation: Any, path: list[str]) -> bool:
    """Whether a path leads to a field, through mappings by any key and through items of lists."""
    if not path:
        return True
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(annotation)}
        return path[0] in types and is_setting(types[path[0]], path[1:])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is not None and issubclass(origin if isinstance(origin, type) else object, dict):
        return is_setting(arguments[1], path[1:])
    return any(is_setting(argument, path) for argument in arguments)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_documented_names_exist(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    commands = [mistake for line in COMMAND.findall(text) for mistake in mistakes_in_command(split(line))]
    assert commands == []
    paths = {path for path in SETTING.findall(text) if path.partition(".")[0] in SECTIONS} - NOT_SETTINGS
    assert sorted(path for path in paths if not is_setting(Settings, path.split("."))) == []
    assert sorted(set(METRIC.findall(text)) - SAMPLES) == []


@pytest.mark.parametrize("name", sorted(PAGES))
def test_documented_settings_are_valid(name: str) -> None:
    snippets = map(yaml.safe_load, SNIPPET.findall(PAGES[name].read_text(encoding="utf-8")))
    stated = [snippet for snippet in snippets if isinstance(snippet, dict) and snippet.keys() <= SECTIONS]
    assert [f"{error.json_path}: {error.message}" for each in stated for error in SCHEMA.iter_errors(each)] == []


def split(line: str) -> list[str]:
    """Split a command line as a shell does; at blanks where a quote is not closed on it."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def test_names_of_nothing_are_found() -> None:
    assert list(mistakes_in_command(["serve", "--config", "x", "--confg", "x"])) == ["serve --confg"]
    assert list(mistakes_in_command(["kees", "list"])) == [" kees"]
    assert is_setting(Settings, ["models", "NAME", "attempt_timeout_s"])
    assert not is_setting(Settings, ["models", "NAME", "timeout_s"])


def test_settings_that_need_a_restart_are_documented() -> None:
    section = PAGES["configuration.md"].read_text(encoding="utf-8").partition("## Reloading")[2].partition("\n## ")[0]
    assert sorted(set(FIXED) - set(re.findall(r"`([a-z_.]+)`", section))) == []
