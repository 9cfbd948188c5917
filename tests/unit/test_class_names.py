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
    """Return the packages, or modules at the top, that have a public class, by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        package = path.relative_to(folder).parts[0].removesuffix(".py")
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(package)
    return found


def test_a_name_is_that_of_one_class() -> None:
    server = public_classes(ROOT / "server/rerankd")
    adapters = public_classes(ROOT / "adapters/rerankd_adapters")
    owners = {name: server.get(name, set()) | ({"adapters"} if name in adapters else set()) for name in server}
    messages = {name for name, packages in server.items() if "contract" in packages}
    assert {name: packages for name, packages in owners.items() if len(packages) > 1 and name not in messages} == {}
    assert {name: packages for name, packages in owners.items() if name in messages and len(packages) > 2} == {}
