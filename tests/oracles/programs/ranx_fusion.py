"""Prints as JSON what ranx fuses random rankings to. Runs in ranx's own environment, without rerankd."""

from __future__ import annotations

import json
import random
import sys

from ranx import Run, fuse

METHODS = {
    "weighted": {"method": "wsum", "norm": "min-max"},
    "rrf": {"method": "rrf", "norm": None, "params": {"k": 60}},
    "rrf k=2": {"method": "rrf", "norm": None, "params": {"k": 2}},
    "z-score": {"method": "wsum", "norm": "zmuv"},
    "rank": {"method": "wsum", "norm": "rank"},
    "isr": {"method": "isr", "norm": None},
    "combmnz": {"method": "mnz", "norm": "min-max"},
}
"""Arguments of `ranx.fuse` by the name that rerankd has for the method."""
UNWEIGHTED = ("rrf", "rrf k=2", "isr", "combmnz")
COMPLETE_ONLY = ("z-score", "rank")
"""Methods that rerankd computes differently where a member left documents out, and says so."""


def rankings(seed: int) -> dict:
    """Make the scores of a few members for 2 to 30 documents; members of every second case leave some out."""
    source = random.Random(seed)
    documents = source.randint(2, 30)
    members = []
    for _ in range(source.randint(2, 5)):
        kept = documents if seed % 2 == 0 else source.randint(2, documents)
        positions = sorted(source.sample(range(documents), kept))
        spread = 10 ** source.uniform(-2, 3)
        members.append(
            {
                "positions": positions,
                "scores": [source.gauss(source.uniform(-1, 1), 1) * spread for _ in positions],
                "weight": source.randint(1, 9),
            }
        )
    return {"documents": documents, "members": members}


def fused(case: dict, name: str) -> list[float]:
    """Return ranx's score of each document; 0 where no member has it."""
    runs = [
        Run({"q": dict(zip(map(str, member["positions"]), member["scores"], strict=True))})
        for member in case["members"]
    ]
    arguments = dict(METHODS[name])
    if name not in UNWEIGHTED:
        arguments["params"] = {"weights": tuple(float(member["weight"]) for member in case["members"])}
    scores = fuse(runs, **arguments).to_dict()["q"]
    return [scores.get(str(position), 0.0) for position in range(case["documents"])]


def main() -> None:
    """Print every case."""
    cases = []
    for seed in range(int(sys.argv[1])):
        case = rankings(seed)
        names = [name for name in METHODS if seed % 2 == 0 or name not in COMPLETE_ONLY]
        cases.append({**case, "fused": {name: fused(case, name) for name in names}})
    print(json.dumps(cases, default=float))


main()
