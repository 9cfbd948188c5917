"""Options and help of `rerankd spend`."""

from __future__ import annotations

from typing import Annotated

import typer

from rerankd.console.commands.flags import Config, Json


def spend(
    *,
    by: Annotated[
        str, typer.Option(metavar="NAMES", help="What to sum by: any of day, key, group, user and model.")
    ] = "key",
    first: Annotated[
        str, typer.Option("--from", metavar="DAY", help="First day, UTC. [dim]Default: of this month[/dim]")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day, UTC. [dim]Default: today[/dim]")] = "",
    key: Annotated[str | None, typer.Option(metavar="ID", help="Only this key.")] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Only this group.")] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Only this end user.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only this model.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Report what calls used and cost, from the store; no server is needed.

    Servers with access.enabled write there every 5 s. By group, calls of a
    key or a caller with several groups count in each of them.

      rerankd spend
      rerankd spend --by day,model --from 2026-11-01 --to 2026-11-30
      rerankd spend --by user --key key_019ad2f3 --csv > users.csv
    """
    from rerankd.console.store import spend as commands

    given = commands.Question(by, first, last, key, group, user, model)
    raise typer.Exit(commands.report(config, given, "json" if json else "csv" if csv else "table"))
