"""What a stored reranker must be by itself: bounds, and the settings' own types."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from rerankd.configuration.shape import check
from rerankd.contract.errors import FieldViolation
from rerankd.registry.documented_config import own_config
from rerankd.registry.stored_reranker import RerankerContent
from rerankd.strategies.settings import AnyReranker, reranker_problems

MAX_NAME_CHARS: Final = 200
MAX_DESCRIPTION_CHARS: Final = 2_000
MAX_CONFIG_BYTES: Final = 65_536
MAX_METADATA_BYTES: Final = 16_384
_MAX_DEPTH: Final = 32
_PATH: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\])*")
_encode: Final = msgspec.json.Encoder().encode


class Checked(NamedTuple):
    """The settings of a reranker, or why there are none."""

    settings: AnyReranker | None
    violations: Sequence[FieldViolation]
    """Field paths are those of `RerankerContent`; empty where there are settings."""


def settings_of(key: str, content: RerankerContent) -> Checked:
    """Read the settings of a reranker.

    Args:
        key: Its key.
        content: As it is stored; its texts are not checked.
    """
    config, given = own_config(content.strategy, content.config)
    data = {
        "strategy": content.strategy,
        "config": config,
        "status": content.status,
        "description": content.description,
    }
    problems: list[str] = []
    checked = check(data, AnyReranker, "", problems)
    if not problems:
        settings: AnyReranker = msgspec.convert(checked, AnyReranker)
        problems = [own_path(key, problem) for problem in reranker_problems({key: settings})]
        if not problems:
            return Checked(settings, ())
    return Checked(None, [violation_of(problem, given) for problem in problems])


def own_path(key: str, problem: str) -> str:
    """Return a problem with its paths within the reranker: `config.model` for `rerankers.x.config.model`."""
    return problem.replace(f"rerankers.{key}.", "").removeprefix(f"rerankers.{key}: ")


def violation_of(problem: str, given: Mapping[str, str] | None = None) -> FieldViolation:
    """Return a problem as a violation of the field it begins with.

    Args:
        problem: A sentence that begins with the path of a field.
        given: Names that the caller gave for those of the configuration.
    """
    found = _PATH.match(problem)
    path = found[0] if found else "config"
    for own, name in (given or {}).items():
        if path == f"config.{own}" or path.startswith((f"config.{own}.", f"config.{own}[")):
            renamed = f"config.{name}{path.removeprefix(f'config.{own}')}"
            return FieldViolation(renamed, renamed + problem.removeprefix(path))
    return FieldViolation(path, problem)


def below(prefix: str, violation: FieldViolation) -> FieldViolation:
    """Return a violation with `prefix` before its field."""
    return FieldViolation(prefix + violation.field, prefix + violation.description)


def text_violations(content: RerankerContent) -> Iterator[FieldViolation]:
    """Yield what cannot be stored of names, texts and metadata."""
    if not content.name.strip():
        yield FieldViolation("name", "name must not be empty")
    for name, most in (("name", MAX_NAME_CHARS), ("description", MAX_DESCRIPTION_CHARS)):
        value: str = getattr(content, name)
        if len(value) > most:
            yield FieldViolation(name, f"{name} must be at most {most} characters, has {len(value)}")
        if not all(char.isprintable() or (name == "description" and char in "\n\t") for char in value):
            yield FieldViolation(name, f"{name} has characters that cannot be printed")
    for name, most in (("config", MAX_CONFIG_BYTES), ("metadata", MAX_METADATA_BYTES)):
        mapping: dict[str, Any] = getattr(content, name)
        if not _is_storable(mapping):
            yield FieldViolation(name, f"{name} must be JSON at most {_MAX_DEPTH} deep, without NUL, NaN or infinity")
        elif (size := len(_encode(mapping))) > most:
            yield FieldViolation(name, f"{name} must be at most {most} bytes of JSON, has {size}")


def _is_storable(value: object, depth: int = 0) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(_is_storable(item, depth + 1) and "\0" not in key for key, item in value.items())
    if isinstance(value, list):
        return all(_is_storable(item, depth + 1) for item in value)
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, float) or math.isfinite(value)
