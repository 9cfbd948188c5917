"""Golden cases: reading them and judging an outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rerankd_adapters.testing.yaml_files import read_yaml
from tests.support.canary import CANARY_DOCUMENT

DIRECTORY = Path(__file__).parent.parent / "cases"
_PLACES = ("query", "documents", "image")


@dataclass(frozen=True)
class Case:
    """One call and the outcome it must have on every transport."""

    name: str
    expect: Mapping[str, Any]
    request: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    behaviour: str = "call"
    items: int = 0
    path: str = "/v1/rerank"
    """HTTP route the request is posted to."""


@dataclass
class Outcome:
    """How a call ended, in terms both transports share."""

    code: str
    status: int | None = None
    reason: str | None = None
    message: str = ""
    fields: list[str] = field(default_factory=list)
    response: Mapping[str, Any] = field(default_factory=dict)


def read_cases(file: str) -> list[Case]:
    """Read a file of golden cases, generators expanded, with canaries in the texts of those that are refused."""
    entries = read_yaml(DIRECTORY / file)
    entries = entries["cases"] if isinstance(entries, dict) else entries
    cases = [Case(**_expand(entry)) for entry in entries]
    return [case if case.expect["code"] == "OK" else replace(case, request=_marked(case.request)) for case in cases]


def settings_environment(file: str, server: str) -> dict[str, str]:
    """Return the settings of a file of golden cases as variables, with the URL of an upstream for `{server}`."""
    text = (DIRECTORY / file).read_text(encoding="utf-8").replace("{server}", server)
    return {f"RERANKD_{name.upper()}": json.dumps(value) for name, value in yaml.safe_load(text)["settings"].items()}


def _marked(value: Any, place: str = "") -> Any:
    """Put the canary into queries and documents that are not blank."""
    if isinstance(value, dict):
        return {key: _marked(item, key if key in _PLACES else place) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item, place) for item in value]
    is_text = place in ("query", "documents") and isinstance(value, str) and value.strip()
    return f"{value} {CANARY_DOCUMENT}" if is_text else value


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        if "$repeat" in value:
            return [_expand(value["$repeat"])] * value["times"]
        if "$string" in value:
            return value["$string"] * value["times"]
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return value


def differences(case: Case, outcome: Outcome) -> Iterator[str]:
    """Yield what an outcome has other than the case expects."""
    expect = case.expect
    results = outcome.response.get("results", [])
    extra = outcome.response.get("extra_fields", {})
    found = {
        "code": outcome.code,
        "reason": outcome.reason,
        "message": outcome.message,
        "fields": outcome.fields,
        "order": [result["index"] for result in results],
        "scores": [round(result["relevance_score"], 6) for result in results],
        "documents": [result.get("document") for result in results],
        "model": outcome.response.get("model"),
        "warnings": outcome.response.get("meta", outcome.response).get("warnings") or [],
        "score_space": _short(extra.get("score_space", ""), "SCORE_SPACE_"),
        "stages": [[stage["stage"], _short(stage["status"], "STAGE_STATUS_")] for stage in extra.get("stages", [])],
        "parts": _parts_of(results[0]) if results else [],
        "explained": [_parts_of(result) for result in results],
        **{name: outcome.response.get(name) for name in ("warmed", "already_warm", "skipped")},
    }
    for key in expect.keys() & found.keys():
        if found[key] != expect[key]:
            yield f"{key}: expected {expect[key]!r}, got {found[key]!r} ({outcome.message})"
    if outcome.status is not None and outcome.status != expect["status"]:
        yield f"status: expected {expect['status']}, got {outcome.status} ({outcome.message})"
    if expect["code"] != "OK" and not outcome.message:
        yield "message: empty"


def _short(value: str, prefix: str) -> str:
    """Return the JSON name of an enum value, which protobuf's own JSON writes with a prefix."""
    return value.removeprefix(prefix).lower()


def _parts_of(result: Mapping[str, Any]) -> list[str]:
    """Name the parts that explain a result."""
    return [part["name"] for part in (result.get("explanation") or {}).get("parts", [])]
