"""ARCHITECTURE.md names what there is: functions of a call's walk, files of the tasks, folders of the server.

And no package has more modules than a reader can look through.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rerankd.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SERVER = ROOT / "server/rerankd"
PACKAGES = ("rerankd", "rerankd.engine", "rerankd.engine.scoring", "rerankd.gateway", "rerankd_adapters")
SCREEN_LINES = 50
MOST_MODULES = 22
"""Most modules of a package besides `__init__.py`; with more it has two subjects."""
LISTS = {
    "adapters/rerankd_adapters/providers": "one file per provider",
    "server/rerankd/gateway/dialects": "one file per foreign wire format",
}
"""Packages that may have any number of modules, and why."""
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
MODULE_OF = {
    name: ".".join(path.relative_to(base).with_suffix("").parts)
    for base in (ROOT / "server", ROOT / "adapters")
    for path in sorted(base.rglob("*.py"))
    for name in CLASS.findall(path.read_text(encoding="utf-8"))
}
"""The module of each class."""


def part(heading: str) -> str:
    """Return the text below a heading."""
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


WALK = part("A document from socket to provider and back").partition("```text\n")[2].partition("```")[0]
NAMES = sorted(set(re.findall(r"\b(?:[A-Za-z_0-9]+\.)+[A-Za-z_0-9]+", WALK)) - {"google.rpc"})


def is_real(name: str) -> bool:
    """Tell whether a name of the walk is that of a module, class, function or setting."""
    first, *rest = name.split(".")
    if first in MODULE_OF:
        return has(importlib.import_module(MODULE_OF[first]), [first, *rest])
    for package in PACKAGES:
        path, found = name.split("."), list[str]()
        while path:
            try:
                module = importlib.import_module(".".join([package, *path]))
            except ModuleNotFoundError:
                found.insert(0, path.pop())
                continue
            if has(module, found):
                return True
            break
    return is_setting(name.split("."))


def has(owner: object, path: list[str]) -> bool:
    """Tell whether an object has an attribute, which may be a field without a value."""
    for name in path:
        if not hasattr(owner, name):
            return name in getattr(owner, "__annotations__", {})
        owner = getattr(owner, name)
    return True


def is_setting(path: list[str]) -> bool:
    value: object = Settings()
    for name in path:
        if not isinstance(value, msgspec.Struct) or name not in value.__struct_fields__:
            return False
        value = getattr(value, name)
    return True


def missing_files(row: str) -> Iterator[str]:
    """Yield the files of a task that are not there; NAME and LANGUAGE stand for any."""
    folders = [ROOT, SERVER]
    for quoted in re.findall(r"`([\w./*-]+)`", row):
        if not re.search(r"/|\.(py|yaml|md|proto)$", quoted):
            continue
        pattern = re.sub("NAME|LANGUAGE", "*", quoted).rstrip("/")
        found = next((path for folder in folders for path in folder.glob(pattern)), None)
        if found is None:
            yield quoted
        else:
            folders.append(found.parent)


def test_the_walk_of_a_call_fits_on_a_screen_and_has_names() -> None:
    assert len(NAMES) > 30
    assert len(WALK.splitlines()) <= SCREEN_LINES


@pytest.mark.parametrize("name", NAMES)
def test_the_walk_of_a_call_names_what_there_is(name: str) -> None:
    assert is_real(name)


@pytest.mark.parametrize(
    "name",
    ["engine.pipeline.Engine.rank", "engine.pipelines.Engine", "Dialect.reads", "access.opened", "nothing.there"],
)
def test_names_of_nothing_are_found(name: str) -> None:
    assert not is_real(name)


TASKS = [row for row in part("Tasks").splitlines() if row.startswith("| add ")]


@pytest.mark.parametrize("row", TASKS, ids=[row.split("|")[1].strip() for row in TASKS])
def test_a_task_names_files_that_are_there(row: str) -> None:
    assert list(missing_files(row)) == []


def test_there_are_tasks_and_missing_files_are_found() -> None:
    assert len(TASKS) >= 7
    row = "| add | `gateway/dialects/NAME.py`, its row in `registry.py`, `no.py`, `cases/NAME.yaml`, `names` |"
    assert list(missing_files(row)) == ["no.py", "cases/NAME.yaml"]


def test_the_folders_of_the_server_are_those_that_are_there() -> None:
    listed = part("Folders").split("```text\n")[2].partition("```")[0]
    wings = {"scoring", "routing"}
    named = set(re.findall(r"(?<![\w/])([a-z]+)/(?=\s|dialects)", listed)) - {"rerankd", "dialects"} - wings
    assert named == {path.name for path in SERVER.iterdir() if any(path.glob("*.py"))}
    assert all((SERVER / "engine" / wing).is_dir() for wing in wings)


def crowded_packages(source: Path) -> dict[str, int]:
    """Return the packages below a folder that have too many modules, by path, with their number."""
    counts = Counter(module.parent for module in source.rglob("*.py") if module.name != "__init__.py")
    return {str(package.relative_to(ROOT)): count for package, count in counts.items() if count > MOST_MODULES}


@pytest.mark.parametrize("source", ["server", "adapters", "clients/python", "scripts"])
def test_a_package_has_one_subject(source: str) -> None:
    crowded = crowded_packages(ROOT / source).keys() - LISTS.keys()
    assert not crowded, (
        f"more than {MOST_MODULES} modules in {sorted(crowded)}: split each into packages of one subject"
    )


@pytest.mark.parametrize("package", LISTS)
def test_a_package_of_any_size_needs_to_be_one(package: str) -> None:
    assert package in crowded_packages(ROOT / package)
