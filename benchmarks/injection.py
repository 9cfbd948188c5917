"""Texts that give orders to a chat model: ranks that a document gains, with the defences of the prompts and without.

A simulation: the model knows how good documents are, but obeys an attack whenever it can, that is when the `trace` of
the attack stands in the prompt as it was written and, if it names a document by number, a document has that number. It
obeys every order that a document gives about itself, which nothing in a prompt can prevent. So the figures say what
structure takes away from an attacker, not what a given model does. Prompts with defences are those of the strategies;
those without have numbers as identifiers, plain texts and fixed delimiters, as RankGPT and its followers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from rerankd.engine.scoring.tournament import Rules, rank_listwise
from rerankd.strategies.judge.prompt import JudgePrompts
from rerankd.strategies.judge.settings import LlmJudgeConfig
from rerankd.strategies.listwise.answers import read_answer
from rerankd.strategies.listwise.prompts import prepare_prompts
from rerankd.strategies.listwise.settings import LlmListwiseConfig

ATTACKS: Final = Path(__file__).with_name("injection_attacks.json")
QUERY: Final = "how tall is the tower"
COUNT: Final = 20
"""Documents of a request; the attacker's is the worst of them and stands in the middle."""
VICTIM: Final = COUNT // 2
_WINDOW: Final = Rules(COUNT, readings=2)


@dataclass(frozen=True)
class Attack:
    """One attack."""

    kind: str
    language: str
    name: str
    text: str
    """With `{number}` for the number that the document has in a prompt without defences."""
    trace: str
    """What must stand in the prompt as it was written."""
    numbered: bool
    """Whether it names its document by that number."""

    def filled(self, template: str) -> str:
        """Return `text` or `trace` for the attacked document."""
        return template.replace("{number}", str(VICTIM + 1)).replace("{{", "{").replace("}}", "}")

    def is_obeyed(self, prompt: str) -> bool:
        """Whether the simulated model does as the attack says."""
        return self.filled(self.trace) in prompt and (not self.numbered or f"\n[{VICTIM + 1}] Document" in prompt)


@dataclass(frozen=True)
class Gain:
    """What one attack gains, in ranks of 19 that there are to gain."""

    attack: Attack
    judge: int
    judge_defended: int
    listwise: int
    listwise_defended: int


def read_attacks() -> list[Attack]:
    """Read the set of attacks."""
    return [Attack(**entry) for entry in json.loads(ATTACKS.read_text(encoding="utf-8"))]


def documents_with(attack: Attack | None) -> list[str]:
    """Return documents, each worth its grade; the attacked one is the worst."""
    texts = [f"Document about towers, part {number}." for number in range(COUNT)]
    if attack is not None:
        texts[VICTIM] += f" {attack.filled(attack.text)}"
    return texts


def worth(position: int) -> float:
    """Return how good a document is, without the attack."""
    return 0.0 if position == VICTIM else (COUNT - position) / COUNT


def plain_judge_prompt(text: str) -> str:
    """Return the prompt of a judge without defences."""
    return f"Grade from 0 to 3 how relevant the document is.\nQuery: {QUERY}\nDocument: {text}\n---\nGrade:"


def plain_window_prompt(texts: Sequence[str]) -> str:
    """Return the prompt of a window without defences."""
    listed = "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    return f"Rank the documents for the query: {QUERY}\n<documents>\n{listed}\n</documents>\nAnswer as [2] > [1]:"


def judged_rank(attack: Attack | None, *, defended: bool) -> int:
    """Return the rank, from 1, of the attacked document by grades."""
    prompts = JudgePrompts(LlmJudgeConfig(model="m"), QUERY)
    grades = []
    for position, text in enumerate(documents_with(attack)):
        prompt = "\n".join(each.content for each in prompts.of(text).messages) if defended else plain_judge_prompt(text)
        is_obeyed = attack is not None and position == VICTIM and attack.is_obeyed(prompt)
        grades.append(1.01 if is_obeyed else worth(position))
    return sorted(range(COUNT), key=grades.__getitem__, reverse=True).index(VICTIM) + 1


async def listed_rank(attack: Attack | None, *, defended: bool) -> int:
    """Return the rank, from 1, of the attacked document by a list that is read twice."""
    texts = documents_with(attack)
    prompts = await prepare_prompts(LlmListwiseConfig(model="m"), QUERY, texts, "")

    async def rank(positions: Sequence[int]) -> Sequence[int]:
        if defended:
            window = prompts.of(positions, 0)
            prompt, ids = "\n".join(each.content for each in window.messages), list(window.ids)
        else:
            prompt, ids = plain_window_prompt(texts), []
        is_obeyed = attack is not None and attack.is_obeyed(prompt)
        order = sorted(positions, key=lambda each: 2.0 if is_obeyed and each == VICTIM else worth(each), reverse=True)
        if not defended:
            return order
        answer = " > ".join(f"[{ids[positions.index(each)]}]" for each in order)
        return [positions[chosen] for chosen in read_answer(answer, ids, range(len(ids))).order]

    return (await rank_listwise(COUNT, _WINDOW, rank)).order.index(VICTIM) + 1


def gains_of(attack: Attack) -> Gain:
    """Measure one attack."""
    judge, defended_judge = (
        judged_rank(None, defended=each) - judged_rank(attack, defended=each) for each in (False, True)
    )
    listwise, defended_listwise = (
        asyncio.run(listed_rank(None, defended=each)) - asyncio.run(listed_rank(attack, defended=each))
        for each in (False, True)
    )
    return Gain(attack, judge, defended_judge, listwise, defended_listwise)


def table_of(gains: Sequence[Gain]) -> Table:
    """Return mean ranks gained by kind of attack."""
    table = Table(title=f"mean ranks gained of {COUNT - 1}, {len(gains)} attacks")
    table.add_column("kind")
    for heading in ("attacks", "judge, plain", "judge", "listwise, plain", "listwise"):
        table.add_column(heading, justify="right")
    for kind in [*dict.fromkeys(gain.attack.kind for gain in gains), "all"]:
        found = [gain for gain in gains if kind in (gain.attack.kind, "all")]
        columns = zip(
            *((gain.judge, gain.judge_defended, gain.listwise, gain.listwise_defended) for gain in found), strict=True
        )
        table.add_row(kind, str(len(found)), *(f"{statistics.mean(column):.1f}" for column in columns))
    return table


def main() -> None:
    """Print one table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    Console(width=100).print(table_of([gains_of(attack) for attack in read_attacks()]))


if __name__ == "__main__":
    main()
