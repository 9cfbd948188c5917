"""Where the store is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec import convert

from rerankd.store.database import Database
from rerankd.store.errors import StoreError
from rerankd.store.settings import StoreSettings


@pytest.mark.parametrize(
    ("settings", "variables", "path"),
    [
        ({}, {"HOME": "/h"}, "/h/.local/state/rerankd/rerankd.db"),
        ({}, {"XDG_STATE_HOME": "/x"}, "/x/rerankd/rerankd.db"),
        ({}, {"XDG_STATE_HOME": "/x", "STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a/rerankd.db"),
        ({"state_dir": "~/s"}, {"HOME": "/h", "STATE_DIRECTORY": "/d"}, "/h/s/rerankd.db"),
        ({"url": "sqlite:///keys.db"}, {}, "keys.db"),
        ({"url": "sqlite:////srv/keys.db"}, {}, "/srv/keys.db"),
    ],
)
def test_the_file_is_where_the_operator_expects_it(
    settings: dict[str, str], variables: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = convert(settings, StoreSettings)
    assert made.problems() == []
    assert made.is_sqlite
    assert str(made.sqlite_path()) == path


@pytest.mark.parametrize("url", ["postgres://a:b@c/d", "postgresql://c:5433/d", "postgresql+psycopg://c/d"])
def test_postgres_urls_are_taken_and_their_password_is_never_shown(url: str) -> None:
    settings = StoreSettings(url=url)
    assert settings.problems() == []
    assert not settings.is_sqlite
    assert ":b@" not in Database(settings).name


@pytest.mark.parametrize(
    "url", ["mysql://a/b", "sqlite://", "sqlite://host/x", "postgres://h:0/d", "nonsense", "http://["]
)
def test_other_urls_are_refused_without_showing_them(url: str) -> None:
    assert StoreSettings(url=url).problems() == [
        "store.url must be postgresql://user:password@host:port/database or sqlite:///path"
    ]


def test_numbers_are_checked() -> None:
    problems = StoreSettings(timeout_s=0, max_connections=0).problems("x")
    assert problems == ["x.timeout_s must be above 0, is 0", "x.max_connections must be at least 1, is 0"]


async def test_nothing_is_created_before_it_is_needed_and_then_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    database = Database(StoreSettings(state_dir=str(folder)))
    assert not folder.exists()
    database.create_file()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "rerankd.db").stat().st_mode) == 0o600
    await database.close()


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(StoreSettings(state_dir=str(tmp_path / "file")))
    with pytest.raises(StoreError, match=r"file/rerankd\.db cannot be written: .*; set store\.state_dir or store\.url"):
        database.create_file()


async def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "rerankd.db").write_text("not a database" * 100)
    database = Database(StoreSettings(state_dir=str(tmp_path)))
    with pytest.raises(StoreError, match=r"rerankd\.db cannot be used \(DatabaseError\)"):
        async with database.begin():
            pass
    await database.close()
