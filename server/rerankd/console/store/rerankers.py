"""The commands `rerankers`: they open the store themselves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from rerankd.console.errors import FAILED, OK, USAGE, CommandError
from rerankd.console.rendering import make_console, make_table, print_json
from rerankd.console.serving import load
from rerankd.contract.errors import Reason, ServiceError
from rerankd.providers.factory import ProviderSettingsError
from rerankd.registry.lazy_table import LazyRerankerTable
from rerankd.registry.listing import MAX_PAGE_SIZE, RerankerFilter, RerankerListing
from rerankd.registry.loading import LoadedRerankers
from rerankd.registry.message_forms import difference_message, reranker_message, version_message
from rerankd.registry.reranker_registry import RerankerRegistry
from rerankd.registry.stored_reranker import RerankerContent, StoredReranker
from rerankd.serving.engine_host import EngineHost
from rerankd.store.opening import LazyDatabase
from rerankd.strategies.settings import AnyReranker

T = TypeVar("T")
_AUTHOR: Final = "rerankd rerankers"


class _OfflineEngine:
    """The models of the settings where no server runs. Satisfies `RunningEngine`.

    Models of servers that would have to be asked count as served.
    """

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self.problems: Mapping[str, Sequence[str]] = {}

    @property
    def declared(self) -> Mapping[str, AnyReranker]:
        return self._host.declared

    @property
    def taken_names(self) -> Collection[str]:
        return self._host.taken_names

    @property
    def default_model(self) -> str:
        return self._host.default_model

    @property
    def served(self) -> Collection[str]:
        return self._host.served

    def strategy_of(self, key: str) -> str | None:
        return self._host.strategy_of(key)

    def problems_of(self, stored: LoadedRerankers) -> Mapping[str, Sequence[str]]:
        return self._host.problems_of(stored, checks_names=False)


class _Rerankers:
    """Changes and listing over one store."""

    def __init__(self, changes: RerankerRegistry, listing: RerankerListing) -> None:
        self.changes = changes
        self.listing = listing

    async def all(self, wanted: RerankerFilter) -> list[StoredReranker]:
        """Return all rerankers that fit."""
        found, token = await self.listing.page(wanted, size=MAX_PAGE_SIZE)
        while token:
            page, token = await self.listing.page(wanted, size=MAX_PAGE_SIZE, after=token)
            found += page
        return found


def list_rerankers(config: Path | None, status: str, search: str, *, is_json: bool) -> int:
    """Print the rerankers."""
    found = _run(config, lambda rerankers: rerankers.all(RerankerFilter(status, search)))
    if is_json:
        print_json([_facts(each) for each in found])
        return OK
    table = make_table("key", "name", "strategy", "status", "runs", "mean ms", "kept in")
    for each in found:
        table.add_row(
            each.key,
            each.content.name,
            each.content.strategy,
            each.content.status,
            str(each.totals.runs),
            f"{each.totals.average_latency_ms:.1f}" if each.totals.runs else "",
            "settings" if each.is_declared else "store",
        )
    make_console().print(table)
    return OK


def show(config: Path | None, key: str, *, is_json: bool) -> int:
    """Print one reranker."""
    return _print(_run(config, lambda rerankers: rerankers.listing.get(key)), is_json=is_json)


def create(config: Path | None, key: str, fields: Mapping[str, Any], *, is_json: bool) -> int:
    """Store a reranker."""
    content = _content(fields)
    made = _run(config, lambda rerankers: rerankers.changes.create(content, key=key, author=_AUTHOR))
    return _print(made, is_json=is_json)


def update(config: Path | None, key: str, fields: Mapping[str, Any], etag: str, *, is_json: bool) -> int:
    """Change a reranker."""
    if not fields:
        raise CommandError("nothing to change", "rerankd rerankers update --help", USAGE)
    changed = _run(config, lambda rerankers: rerankers.changes.update(key, fields, etag=etag, author=_AUTHOR))
    return _print(changed, is_json=is_json)


def delete(config: Path | None, key: str, etag: str) -> int:
    """Delete a reranker."""
    _run(config, lambda rerankers: rerankers.changes.delete(key, etag=etag))
    print(f"deleted {key}")
    return OK


def versions(config: Path | None, key: str, *, is_json: bool) -> int:
    """Print the versions of a reranker, the newest first."""
    found, _ = _run(config, lambda rerankers: rerankers.listing.versions(key, size=MAX_PAGE_SIZE))
    facts = [msgspec.to_builtins(version_message(each)) for each in found]
    if is_json:
        print_json(facts)
        return OK
    table = make_table("version", "made", "by", "how", "strategy", "status")
    for each in facts:
        names = ("version", "createdAt", "author", "origin", "strategy", "status")
        table.add_row(*(str(each.get(name, "")) for name in names))
    make_console().print(table)
    return OK


def diff(config: Path | None, key: str, before: int, after: int, *, is_json: bool) -> int:
    """Print what changed from one version to another."""
    found = _run(config, lambda rerankers: rerankers.listing.diff(key, before, after))
    told = [difference_message(each) for each in found]
    if is_json:
        print_json([msgspec.to_builtins(each) for each in told])
        return OK
    for each in told:
        for sign, value in (("-", each.before), ("+", each.after)):
            if value is not None:
                print(f"{sign} {each.path}: {value}")
    return OK


def rollback(config: Path | None, key: str, version: int, etag: str, *, is_json: bool) -> int:
    """Make a reranker again what it was."""
    changed = _run(config, lambda rerankers: rerankers.changes.rollback(key, version, etag=etag, author=_AUTHOR))
    return _print(changed, is_json=is_json)


def export(config: Path | None, keys: Sequence[str], file: Path | None) -> int:
    """Write stored rerankers as YAML."""

    async def collect(rerankers: _Rerankers) -> list[StoredReranker]:
        if keys:
            return [await rerankers.listing.get(key) for key in keys]
        return [each for each in await rerankers.all(RerankerFilter()) if not each.is_declared]

    found = _run(config, collect)
    written = {each.key: _exported(each.content) for each in found}
    text = yaml.safe_dump({"rerankers": written}, sort_keys=False, allow_unicode=True, width=120)
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")
    return OK


def import_rerankers(config: Path | None, file: Path, *, is_json: bool) -> int:
    """Create and update the rerankers of a file, all or none."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    contents = {key: _content({"name": key, **fields}, key) for key, fields in _sections(text).items()}
    changed = _run(config, lambda rerankers: rerankers.changes.put_all(contents, author=_AUTHOR))
    if is_json:
        print_json({"changed": changed, "unchanged": [key for key in contents if key not in changed]})
    else:
        print(f"{len(changed)} of {len(contents)} rerankers changed" + "".join(f"\n  {key}" for key in changed))
    return OK


def parse_value(text: str, option: str) -> dict[str, Any]:
    """Return the mapping of an option: YAML or JSON, or of the file that it names after `@`.

    Raises:
        CommandError: It is none.
    """
    try:
        value = yaml.safe_load(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{option} cannot be read: {_problem_of(error)}", exit_code=USAGE) from None
    if not isinstance(value, dict):
        raise CommandError(f"{option} must be a mapping, such as '{{model: local/default}}'", exit_code=USAGE)
    return value


def _problem_of(error: OSError | UnicodeDecodeError | yaml.YAMLError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def _sections(text: str) -> dict[str, dict[str, Any]]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandError(f"the file is not valid YAML: {' '.join(str(error).split())}") from None
    found = data.get("rerankers") if isinstance(data, dict) else None
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise CommandError("the file has no rerankers", "it is as rerankd rerankers export writes it")
    return {str(key): each for key, each in found.items()}


def _content(fields: Mapping[str, Any], key: str = "") -> RerankerContent:
    try:
        return RerankerContent(**msgspec.structs.asdict(msgspec.convert(fields, _StrictContent)))
    except msgspec.ValidationError as error:
        where = f"{key}: " if key else ""
        raise CommandError(f"{where}{error}", exit_code=USAGE) from None


class _StrictContent(RerankerContent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a command or of a file."""


def _exported(content: RerankerContent) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(content)
    return {name: value for name, value in fields.items() if value not in ("", {}) or name == "config"}


def _run(config: Path | None, use: Callable[[_Rerankers], Awaitable[T]]) -> T:
    """Use the rerankers of settings and store."""
    settings = load(config, {})

    async def run() -> T:
        database = LazyDatabase(settings.store)
        host = EngineHost(settings)
        try:
            engine, table = _OfflineEngine(host), LazyRerankerTable(database)
            changes = RerankerRegistry(table, engine, lambda: settings.registry)
            return await use(_Rerankers(changes, RerankerListing(table, engine)))
        finally:
            await host.close()
            await database.close()

    try:
        return asyncio.run(run())
    except ProviderSettingsError as error:
        raise CommandError(str(error), "rerankd check-config") from None
    except ServiceError as error:
        exit_code = USAGE if error.reason is Reason.INVALID_REQUEST else FAILED
        listed = "; ".join(each.description for each in error.violations)
        raise CommandError(listed or error.message, "", exit_code) from None


def _facts(reranker: StoredReranker) -> Any:
    return msgspec.to_builtins(reranker_message(reranker))


def _print(reranker: StoredReranker, *, is_json: bool) -> int:
    facts = _facts(reranker)
    if is_json:
        print_json(facts)
        return OK
    sys.stdout.write(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=120))
    return OK
