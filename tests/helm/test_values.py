"""Values, templates, schema and README agree: no value that nothing reads, none read that is not declared."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from scripts.generate_chart import render_files
from scripts.generator.chart_values import ChartValuesError, leaves, read_values
from tests.helm.engine import CHART, ROOT, Engine, RefusedValuesError, scenarios
from tests.helm.engine import read_values as read_scenario

VALUES = {each.path: each for each in leaves(read_values((CHART / "values.yaml").read_text(encoding="utf-8")))}
NOT_READ = {"enabled"}
"""Declared for parent charts."""
REFUSED = {"auth.allowUnauthenticated"}
"""Another value than the default is refused."""
TEMPLATES = {path: path.read_text(encoding="utf-8") for path in (CHART / "templates").rglob("*") if path.is_file()}
READ = {
    name
    for text in TEMPLATES.values()
    for code in re.findall(r"\{\{.*?\}\}", text, re.DOTALL)
    for name in re.findall(r"\.Values\.([\w.]+)", code)
}


def is_at(path: str, name: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def test_templates_read_only_declared_values() -> None:
    assert {name for name in READ if not any(is_at(path, name) for path in VALUES)} == set()


def test_templates_read_every_declared_value() -> None:
    assert {path for path in VALUES if not any(is_at(path, name) for name in READ)} == NOT_READ


def test_templates_define_what_they_include() -> None:
    text = "".join(TEMPLATES.values())
    assert set(re.findall(r'define "([^"]+)"', text)) == set(
        re.findall(r'(?:include|ternary) "(rerankd\.[^"]+)"', text)
    ) | {"rerankd.selector"}


def get(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def without(values: dict[str, Any], path: str) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    *parents, last = path.split(".")
    found = changed
    for key in parents:
        found = found[key]
    del found[last]
    return changed


def outcome(engine: Engine, values: dict[str, Any]) -> object:
    try:
        return engine.files(values)
    except RefusedValuesError as error:
        return str(error)


SCENARIOS = {file: read_scenario(file) for file in scenarios()}
SET = [(file, path) for file, values in SCENARIOS.items() for path in VALUES if get(values, path) is not None]


@pytest.mark.parametrize(("file", "path"), SET, ids=[f"{file.stem}-{path}" for file, path in SET])
def test_every_value_of_a_scenario_has_an_effect(engine: Engine, file: Any, path: str) -> None:
    values = SCENARIOS[file]
    assert engine.files(values)
    assert outcome(engine, without(values, path)) != engine.files(values)


def test_every_value_is_in_a_scenario() -> None:
    assert VALUES.keys() - {path for _, path in SET} == NOT_READ | REFUSED


def test_generated_files_are_up_to_date() -> None:
    assert [
        path for path, content in render_files().items() if (ROOT / path).read_text(encoding="utf-8") != content
    ] == []


def test_the_schema_is_one_and_takes_the_defaults() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    assert list(validator.iter_errors(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))) == []


def test_a_parent_chart_may_share_values(engine: Engine) -> None:
    assert engine.files({"global": {"anything": {"at": ["all"]}}, "enabled": True})


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(ChartValuesError, match=r"image\.tag"):
        read_values("image:\n  # -- Said.\n  name: x\n  tag: y\n")


def test_comments_become_description_and_schema() -> None:
    (section,) = read_values("a:\n  # -- One\n  # two.\n  # @schema {minimum: 1}\n  b: 3\n")
    (value,) = section.children
    assert (value.path, value.description, value.default, value.schema) == ("a.b", "One two.", 3, {"minimum": 1})


def test_versions_are_the_products() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert chart["appVersion"] == version[1]
