"""What a strategy is built of: its members, each with the settings key that names it, and the problems found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from rerankd.engine.models import Models
from rerankd.strategies.member import Member


class NamedMember(NamedTuple):
    """A member, and where the settings name its model."""

    key: str
    """Settings key, such as `rerankers.best.config.stages[0].model`."""
    member: Member


class Check(NamedTuple):
    """A check of one setting."""

    key: str
    """Settings key."""
    problem: Callable[[], str]
    """Returns what is wrong, or an empty text."""


@dataclass(slots=True)
class Parts:
    """Collects the members of one reranker while its strategy is built.

    Args:
        path: Settings key of the strategy's configuration.
        models: Resolves the members' models.
    """

    path: str
    models: Models
    members: list[NamedMember] = field(default_factory=list)
    """In the order of the settings."""
    problems: list[str] = field(default_factory=list)
    """One sentence each, starting with the settings key."""
    checks: list[Check] = field(default_factory=list)
    """What can only be checked when all rerankers are built."""

    def member(self, key: str, model: str, name: str = "") -> Member:
        """Add a member.

        Args:
            key: Settings key of the model's name, below the configuration, such as `stages[0].model`.
            model: Name of the model; composition checks that it leads somewhere.
            name: Name of the member; default: that of the model, numbered if another member has it.
        """
        taken = {each.member.name for each in self.members}
        if name in taken:
            self.problem(key.rpartition(".")[0] or key, f"another member is named {name} too")
        found, number = name or model, 1
        while found in taken:
            number += 1
            found = f"{name or model}#{number}"
        member = Member(found, model, self.models)
        self.members.append(NamedMember(f"{self.path}.{key}", member))
        return member

    def check(self, key: str, problem: Callable[[], str]) -> None:
        """Add a check of the value at `key` that is made when all rerankers are built and lead somewhere.

        Args:
            key: Settings key below the configuration.
            problem: Returns what is wrong, or an empty text.
        """
        self.checks.append(Check(f"{self.path}.{key}", problem))

    def problem(self, key: str, text: str) -> None:
        """Add a problem of the value at `key`, a settings key below the configuration."""
        self.problems.append(f"{self.path}.{key}: {text}")
