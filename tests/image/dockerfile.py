"""Reads server/Dockerfile: stages, instructions, and what a stage inherits."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "server" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `arguments` is its text with line breaks removed."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        """The arguments: of a JSON list, else as a shell splits them."""
        if self.arguments.startswith("["):
            words: list[str] = json.loads(self.arguments)
            return words
        return shlex.split(self.arguments)


@dataclass(slots=True)
class Stage:
    """A stage and its instructions, FROM aside."""

    name: str
    base: str
    """Another stage, or an image."""
    instructions: list[Instruction] = field(default_factory=list)


def read_stages(text: str | None = None) -> dict[str, Stage]:
    """Return the stages by name, in the file's order.

    Args:
        text: Of a Dockerfile; default: the product's.
    """
    text = DOCKERFILE.read_text(encoding="utf-8") if text is None else text
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            base, _, name = instruction.words
            stage = stages[name] = Stage(name, base)
        elif stage is not None:
            stage.instructions.append(instruction)
    return stages


def lineage(stages: dict[str, Stage], name: str) -> list[Instruction]:
    """Return the instructions of a stage and of those it is based on, in the order they run."""
    stage = stages[name]
    before = lineage(stages, stage.base) if stage.base in stages else []
    return [*before, *stage.instructions]


def last(instructions: list[Instruction], name: str) -> Instruction:
    """Return the instruction of a name that holds."""
    return [each for each in instructions if each.name == name][-1]


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield Instruction(name, arguments.strip())
