"""Options and help of `rerankd rerankers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from rerankd.console.commands.flags import Config, Json
from rerankd.console.commands.help_texts import Command, CommandGroup

Key = Annotated[str, typer.Argument(metavar="KEY", help="As `rerankd rerankers list` shows it.")]
Etag = Annotated[
    str, typer.Option(metavar="ETAG", help="Only if it is still as this names it. [dim]Default: whatever it is[/dim]")
]
_STRATEGIES: Final = "dedicated-model, fusion, heuristic, cascade, llm-judge or llm-listwise."
Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is good for.")]
Status = Annotated[
    Literal["active", "disabled"] | None, typer.Option(help="Whether it answers calls. [dim]New ones: active[/dim]")
]
With = Annotated[
    str | None,
    typer.Option("--with", metavar="YAML", help="Configuration of the strategy, or @FILE with it."),
]
Metadata = Annotated[str | None, typer.Option(metavar="YAML", help="Free values, or @FILE with them.")]

rerankers = typer.Typer(
    cls=CommandGroup,
    help="Create and change rerankers in the store; no server is needed.\n\n"
    "Servers on the same store serve a change within registry.poll_s, 0.5 s by default.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@rerankers.command("list", cls=Command)
def list_rerankers(
    *,
    status: Annotated[Literal["active", "disabled"] | None, typer.Option(help="Only those.")] = None,
    search: Annotated[str, typer.Option(metavar="TEXT", help="Only with it in key, name or description.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """List the rerankers, those of the settings too."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.list_rerankers(config, status or "", search, is_json=json))


@rerankers.command(cls=Command)
def show(key: Key, *, config: Config = None, json: Json = False) -> None:
    """Show one reranker."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.show(config, key, is_json=json))


@rerankers.command(cls=Command)
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    *,
    strategy: Annotated[str, typer.Option(metavar="NAME", help=_STRATEGIES)],
    given: With = None,
    key: Annotated[str, typer.Option(metavar="KEY", help="The model of calls. [dim]Default: of the name[/dim]")] = "",
    description: Description = None,
    status: Status = None,
    metadata: Metadata = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Store a reranker, checked as the settings are.

    rerankd rerankers create Support --strategy dedicated-model --with "{model: cohere/rerank-v3.5, top_n: 10}"
    """
    from rerankd.console.store import rerankers as commands

    fields = {"name": name, "strategy": strategy, "config": {}, **_fields(description, status, given, metadata)}
    raise typer.Exit(commands.create(config, key, fields, is_json=json))


@rerankers.command(cls=Command)
def update(
    key: Key,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What people call it.")] = None,
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help=_STRATEGIES)] = None,
    given: With = None,
    description: Description = None,
    status: Status = None,
    metadata: Metadata = None,
    etag: Etag = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Change what is given of a reranker, as a new version.

    rerankd rerankers update support --status disabled
    """
    from rerankd.console.store import rerankers as commands

    named = {"name": name, "strategy": strategy}
    fields = {
        **{field: value for field, value in named.items() if value is not None},
        **_fields(description, status, given, metadata),
    }
    raise typer.Exit(commands.update(config, key, fields, etag, is_json=json))


@rerankers.command(cls=Command)
def delete(key: Key, *, etag: Etag = "", config: Config = None) -> None:
    """Delete a reranker with its versions."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.delete(config, key, etag))


@rerankers.command(cls=Command)
def versions(key: Key, *, config: Config = None, json: Json = False) -> None:
    """List the versions of a reranker, the newest first."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.versions(config, key, is_json=json))


@rerankers.command(cls=Command)
def diff(
    key: Key,
    before: Annotated[int, typer.Argument(metavar="FROM", help="Number of a version.")],
    after: Annotated[int, typer.Argument(metavar="TO", help="Number of a version.")],
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what changed from one version to another."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.diff(config, key, before, after, is_json=json))


@rerankers.command(cls=Command)
def rollback(
    key: Key,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Number of a version.")],
    *,
    etag: Etag = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a reranker again what it was, as a new version."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.rollback(config, key, version, etag, is_json=json))


@rerankers.command(cls=Command)
def export(
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Which ones.", show_default="all")] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="[dim]Default: standard output[/dim]")
    ] = None,
    config: Config = None,
) -> None:
    """Write stored rerankers as YAML, as the settings have them and import reads them."""
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.export(config, keys or [], output))


@rerankers.command("import", cls=Command)
def import_rerankers(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="YAML; - reads standard input.")
    ],
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Create and update the rerankers of a file, all or none.

    The file is that of export, or any settings with rerankers.
    """
    from rerankd.console.store import rerankers as commands

    raise typer.Exit(commands.import_rerankers(config, file, is_json=json))


def _fields(description: str | None, status: str | None, given: str | None, metadata: str | None) -> dict[str, Any]:
    from rerankd.console.store.rerankers import parse_value

    fields: dict[str, Any] = {"description": description, "status": status}
    if given is not None:
        fields["config"] = parse_value(given, "--with")
    if metadata is not None:
        fields["metadata"] = parse_value(metadata, "--metadata")
    return {name: value for name, value in fields.items() if value is not None}
