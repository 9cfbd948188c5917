"""A change of files is seen once, when they have come to rest."""

from __future__ import annotations

import os
from pathlib import Path

from rerankd.configuration.watch import FileWatch, stamps


class Watched:
    def __init__(self, *files: Path) -> None:
        self.files = files
        self.watch = FileWatch()
        self.watch.mark(stamps(files))

    def looks(self, count: int) -> list[bool]:
        return [self.watch.look(stamps(self.files)) for _ in range(count)]

    def taken(self) -> None:
        self.watch.mark(stamps(self.files))


def test_a_change_counts_once_it_rests_until_it_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    watched = Watched(file)
    assert watched.looks(3) == [False] * 3
    file.write_text("12")
    assert watched.looks(1) == [False]
    file.write_text("123")
    assert watched.looks(3) == [False, True, True]
    watched.taken()
    assert watched.looks(2) == [False] * 2


def test_same_size_and_time_but_another_file(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    for each in (file, other):
        each.write_text("1")
        os.utime(each, ns=(5, 5))
    watched = Watched(file)
    other.replace(file)
    assert watched.looks(2) == [False, True]


def test_a_missing_file_is_no_change_until_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    watched = Watched(file)
    file.unlink()
    assert watched.looks(3) == [False] * 3
    file.write_text("12")
    assert watched.looks(2) == [False, True]


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
        os.utime(tmp_path / name / "a", ns=(5, 5))
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "a").symlink_to("data/a")
    watched = Watched(tmp_path / "a")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert watched.looks(2) == [False, True]
