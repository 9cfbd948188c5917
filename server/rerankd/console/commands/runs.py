"""Options and help of `rerankd runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rerankd.console.commands.flags import Config, Json
from rerankd.console.commands.help_texts import Command, CommandGroup


def which(help_text: str, metavar: str, *names: str) -> Any:
    """Return an option that says which runs are meant."""
    return typer.Option(*names, metavar=metavar, help=help_text, show_default=False, rich_help_panel="Which runs")


Since = Annotated[str, which("Begun after, as 90s, 15m, 2h, 7d or 2026-01-31T08:00.", "TIME", "--since")]
Until = Annotated[str, which("Begun before; as --since.", "TIME", "--until")]
Status = Annotated[Literal["ok", "error"] | None, which("ok or error.", "STATUS")]
Reason = Annotated[str, which("Of failed calls, as RATE_LIMITED.", "REASON")]
Model = Annotated[str, which("Model that answered.", "NAME")]
Reranker = Annotated[str, which("Reranker that answered.", "KEY")]
Key = Annotated[str, which("Id of the API key.", "ID")]
User = Annotated[str, which("End user.", "NAME")]
Source = Annotated[
    Literal["api", "grpc", "batch", "playground", "replay"] | None,
    which("api, grpc, batch, playground or replay.", "SOURCE"),
]
RequestId = Annotated[str, which("As in x-request-id and the log.", "ID")]
Experiment = Annotated[str, which("Of an experiment.", "ID")]
SlowerThan = Annotated[float | None, which("Took at least so long.", "MS")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=".parquet, or .jsonl for JSON Lines. [dim]Default: standard output[/dim]",
    ),
]

runs = typer.Typer(
    cls=CommandGroup,
    help="Look at logged calls in the store; no server is needed.\n\n"
    "Which calls are logged, and what of them, is said by runs in the settings.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@runs.command("list", cls=Command)
def list_runs(
    *,
    since: Since = "",
    until: Until = "",
    status: Status = None,
    reason: Reason = "",
    model: Model = "",
    reranker: Reranker = "",
    key: Key = "",
    user: User = "",
    source: Source = None,
    request_id: RequestId = "",
    experiment: Experiment = "",
    slower_than: SlowerThan = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Runs at most.", show_default=True)] = 20,
    config: Config = None,
    json: Json = False,
) -> None:
    """List runs, the newest first.

    rerankd runs list --status error --since 2h
    rerankd runs list --reranker support --slower-than 500
    """
    from rerankd.console.store import runs as commands

    wanted = commands.filter_of(
        since, until, slower_than, status=status, reason=reason, model=model, reranker=reranker, key_id=key, user=user,
        source=source, request_id=request_id, experiment_id=experiment,
    )  # fmt: skip
    raise typer.Exit(commands.list_runs(config, wanted, limit, is_json=json))


@runs.command(cls=Command)
def show(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="As `rerankd runs list` shows it.")],
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show one run with its results, provider calls and texts."""
    from rerankd.console.store import runs as commands

    raise typer.Exit(commands.show(config, run_id, is_json=json))


@runs.command(cls=Command)
def follow(
    *,
    status: Status = None,
    reason: Reason = "",
    model: Model = "",
    reranker: Reranker = "",
    key: Key = "",
    user: User = "",
    source: Source = None,
    slower_than: SlowerThan = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print runs as they are logged, until Ctrl-C; with --json one a line.

    rerankd runs follow --reranker support --status error
    """
    from rerankd.console.store import runs as commands

    wanted = commands.filter_of(
        "", "", slower_than, status=status, reason=reason, model=model, reranker=reranker, key_id=key, user=user,
        source=source,
    )  # fmt: skip
    raise typer.Exit(commands.follow(config, wanted, is_json=json))


@runs.command(cls=Command)
def export(
    *,
    output: Output = None,
    since: Since = "",
    until: Until = "",
    status: Status = None,
    reason: Reason = "",
    model: Model = "",
    reranker: Reranker = "",
    key: Key = "",
    user: User = "",
    source: Source = None,
    experiment: Experiment = "",
    slower_than: SlowerThan = None,
    config: Config = None,
) -> None:
    """Write runs with their texts to a file, the newest first.

    rerankd runs export --since 7d -o runs.parquet
    rerankd runs export --reranker support | jq .query
    """
    from rerankd.console.store import runs as commands

    wanted = commands.filter_of(
        since, until, slower_than, status=status, reason=reason, model=model, reranker=reranker, key_id=key, user=user,
        source=source, experiment_id=experiment,
    )  # fmt: skip
    raise typer.Exit(commands.export(config, wanted, output))
