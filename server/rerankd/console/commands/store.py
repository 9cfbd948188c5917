"""Options and help of the commands that use the store: `migrate` and `keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rerankd.console.commands.flags import Config, Json
from rerankd.console.commands.help_texts import Command, CommandGroup

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `rerankd keys list` shows it.")]

keys = typer.Typer(
    cls=CommandGroup,
    help="Make and manage API keys in the store; no server is needed.\n\n"
    "Servers with access.enabled learn of a change within access.revoked_within_s, 5 s by default.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def migrate(*, config: Config = None) -> None:
    """Bring the store to the version of this program.

    A server does so by itself for SQLite, never for PostgreSQL. Safe to run by
    several at once, and again.
    """
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.migrate(config))


@keys.command(cls=Command)
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    *,
    owner: Annotated[str, typer.Option(metavar="WHO", help="Who answers for it.")] = "",
    group: Annotated[str, typer.Option(metavar="NAME", help="Group whose limits it shares.")] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A label; may repeat.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="A model it may use, such as cohere/*; may repeat. [dim]Default: all[/dim]"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="SCOPE", help="What it may do; may repeat. [dim]Default: rerank and models[/dim]"),
    ] = None,
    expires_in_days: Annotated[
        float | None,
        typer.Option("--expires-in", metavar="DAYS", help="Days until it stops. [dim]Default: never[/dim]"),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key, and show it this once.

    rerankd keys create search --owner search-team --model "cohere/*"
    rerankd keys create operator --scope admin --expires-in 90
    """
    from rerankd.console.store import keys as commands

    details = {
        "name": name,
        "owner": owner,
        "group": group,
        "tags": tag or [],
        "models": model or [],
        **({"scopes": scope} if scope else {}),
    }
    raise typer.Exit(commands.create(config, details, expires_in_days, is_json=json))


@keys.command("list", cls=Command)
def list_keys(
    *,
    revoked: Annotated[bool, typer.Option("--revoked", help="Show revoked ones too.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the keys, those of the settings too."""
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.list_keys(config, with_revoked=revoked, is_json=json))


@keys.command(cls=Command)
def show(key_id: KeyId, *, config: Config = None, json: Json = False) -> None:
    """Show what is known of a key."""
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.show(config, key_id, is_json=json))


@keys.command(cls=Command)
def rotate(
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        float,
        typer.Option("--overlap", min=0, metavar="HOURS", help="How long the old one still works.", show_default=True),
    ] = 24.0,
    config: Config = None,
    json: Json = False,
) -> None:
    """Give a key a new secret, and show it this once."""
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.rotate(config, key_id, overlap_hours, is_json=json))


@keys.command(cls=Command)
def revoke(key_id: KeyId, *, config: Config = None, json: Json = False) -> None:
    """Revoke a key, for good."""
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.revoke(config, key_id, is_json=json))


@keys.command("import", cls=Command)
def import_keys(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="JSON Lines; - reads stdin.")
    ],
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Add existing keys, all or none, so that their callers need no new ones.

    Each line has `secret`, or `hash` (its SHA-256), and what `create` takes:
    {"name": "search", "hash": "9f86...", "models": ["cohere/*"]}
    """
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.import_keys(config, file, is_json=json))


@keys.command(cls=Command)
def generate(*, json: Json = False) -> None:
    """Print a new key and its hash, for the settings; nothing is stored."""
    from rerankd.console.store import keys as commands

    raise typer.Exit(commands.generate(is_json=json))
