"""The commands `migrate` and `keys`: they open the store themselves."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rerankd.access.api_key import ApiKey, KeyDetails
from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.key_inventory import ImportedKey, KeyInventory, NewKey
from rerankd.access.key_settings import utc
from rerankd.access.stored_keys import LazyStoredKeys
from rerankd.console.errors import FAILED, OK, USAGE, CommandError
from rerankd.console.rendering import make_console, make_table, print_json
from rerankd.console.serving import load
from rerankd.console.store.opening import with_database
from rerankd.contract.errors import Reason, ServiceError
from rerankd.settings import Settings
from rerankd.store.database import Database
from rerankd.store.migrating import migrate as migrate_store
from rerankd.store.opening import LazyDatabase

T = TypeVar("T")
_DAY_S: Final = 86_400
_PAGE: Final = 500
_MAX_DAYS: Final = 36_500


def migrate(config: Path | None) -> int:
    """Run the migrations that are missing."""

    async def run(database: Database) -> tuple[str, str]:
        return await migrate_store(database)

    settings = load(config, {})
    database, (before, after) = with_database(settings, run)
    print(f"{database}: version {after}" + ("" if before == after else f", was {before or 'empty'}"))
    return OK


def create(config: Path | None, details: Mapping[str, object], expires_in_days: float | None, *, is_json: bool) -> int:
    """Make a key and print it."""
    if expires_in_days is not None and not 0 < expires_in_days <= _MAX_DAYS:
        raise CommandError(f"--expires-in must be above 0 and at most {_MAX_DAYS} days", exit_code=USAGE)
    expires_at = None if expires_in_days is None else time.time() + expires_in_days * _DAY_S
    settings = load(config, {})
    made = _manage(settings, lambda keys: keys.create(msgspec.convert(details, KeyDetails), expires_at))
    _print_secret(made, settings, is_json=is_json)
    if not settings.access.enabled:
        print("warning: access.enabled is false in these settings, so that callers need no key", file=sys.stderr)
    return OK


def list_keys(config: Path | None, *, with_revoked: bool, is_json: bool) -> int:
    """Print all keys."""

    async def collect(keys: KeyInventory) -> list[ApiKey]:
        page = await keys.page("", _PAGE, with_revoked=with_revoked)
        found = page.keys
        while page.next_token:
            page = await keys.page(page.next_token, _PAGE, with_revoked=with_revoked)
            found += page.keys
        return found

    found = _manage(load(config, {}), collect)
    if is_json:
        print_json([facts_of(key) for key in found])
        return OK
    table = make_table("id", "name", "owner", "group", "scopes", "models", "key", "state")
    for key in found:
        details = key.details
        table.add_row(
            key.id,
            details.name,
            details.owner,
            details.group,
            " ".join(details.scopes),
            " ".join(details.models) or "all",
            key.hint,
            _state(key),
        )
    make_console().print(table)
    return OK


def show(config: Path | None, key_id: str, *, is_json: bool) -> int:
    """Print one key."""
    _print_key(_manage(load(config, {}), lambda keys: keys.get(key_id)), is_json=is_json)
    return OK


def rotate(config: Path | None, key_id: str, overlap_hours: float, *, is_json: bool) -> int:
    """Give a key a new secret and print it."""
    settings = load(config, {})
    made = _manage(settings, lambda keys: keys.rotate(key_id, overlap_hours * 3600))
    _print_secret(made, settings, is_json=is_json)
    return OK


def revoke(config: Path | None, key_id: str, *, is_json: bool) -> int:
    """Revoke a key."""
    _print_key(_manage(load(config, {}), lambda keys: keys.revoke(key_id)), is_json=is_json)
    return OK


def import_keys(config: Path | None, file: Path, *, is_json: bool) -> int:
    """Add the keys of a file."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    given = [_imported(line, number) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    found = _manage(load(config, {}), lambda keys: keys.add(given)) if given else []
    if is_json:
        print_json([facts_of(key) for key in found])
    else:
        print(f"added {len(found)} keys")
    return OK


def generate(*, is_json: bool) -> int:
    """Print a new key and its hash."""
    secret = new_secret()
    if is_json:
        print_json({"secret": secret, "hash": digest_of(secret)})
    else:
        print(f"key   {secret}\nhash  {digest_of(secret)}")
    return OK


def facts_of(key: ApiKey) -> dict[str, Any]:
    """Return what people may know of a key, for JSON."""
    return {
        "id": key.id,
        **msgspec.to_builtins(key.details),
        "hint": key.hint,
        "created_at": _time(key.created_at or None),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
        "old_secret_expires_at": _time(key.old_expires_at),
        "source": "settings" if key.is_declared else "store",
    }


class _KeyLine(KeyDetails, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of a file to import."""

    secret: str = ""
    hash: str = ""
    expires_at: float | None = None


def _imported(line: str, number: int) -> ImportedKey:
    try:
        given = msgspec.json.decode(line, type=_KeyLine)
    except msgspec.DecodeError as error:
        raise CommandError(f"line {number} cannot be read: {error}") from None
    details = KeyDetails(**{name: getattr(given, name) for name in KeyDetails.__struct_fields__})
    key = ImportedKey(details, given.secret, given.hash, given.expires_at)
    if problems := key.problems():
        listed = "; ".join(f"{name} {rule}" for name, rule in problems)
        raise CommandError(f"line {number} cannot be used: {listed}", exit_code=USAGE)
    return key


def _manage(settings: Settings, use: Callable[[KeyInventory], Awaitable[T]]) -> T:
    """Use the keys of settings and store."""

    async def run() -> T:
        database = LazyDatabase(settings.store)
        try:
            return await use(KeyInventory(settings.access.declared_keys, LazyStoredKeys(database)))
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except ServiceError as error:
        hint = "rerankd keys list --revoked" if error.reason is Reason.KEY_NOT_FOUND else ""
        exit_code = USAGE if error.reason is Reason.INVALID_REQUEST else FAILED
        raise CommandError(error.message, hint, exit_code) from None


def _print_secret(made: NewKey, settings: Settings, *, is_json: bool) -> None:
    if is_json:
        print_json({**facts_of(made.key), "secret": made.secret})
        return
    print(made.secret)
    name = settings.store.sqlite_path() if settings.store.is_sqlite else "the store"
    print(f"{made.key.id} in {name}; the key is not shown again", file=sys.stderr)


def _print_key(key: ApiKey, *, is_json: bool) -> None:
    if is_json:
        print_json(facts_of(key))
        return
    shown = facts_of(key) | {"state": _state(key)}
    for name, value in shown.items():
        text = " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
        print(f"{name:22} {'' if text is None else text}".rstrip())


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_time(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if key.expires_at <= time.time() else 'valid until'} {_time(key.expires_at)}"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else utc(seconds).isoformat(timespec="seconds").replace("+00:00", "Z")
