"""One name, one class: a reader who meets a name need not ask which of two it is.

Messages of the contract are the exception, which code reads as `messages.Run`: what carries one, keeps it or hands it
to programs (adapters, the embedding program, the client) may have its name.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def public_classes(folder: Path) -> dict[str, set[str]]:
    """Return the modules that have a public class, by its name; the contract counts as one."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        module = path.relative_to(folder)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add("contract" if module.parts[0] == "contract" else str(module))
    return found


def test_a_name_is_that_of_one_class() -> None:
    owners = public_classes(ROOT / "server/rerankd")
    for name, modules in public_classes(ROOT / "adapters/rerankd_adapters").items():
        owners[name] |= modules
    messages = {name for name, modules in owners.items() if "contract" in modules}
    assert {name: modules for name, modules in owners.items() if len(modules) > 1 + (name in messages)} == {}
