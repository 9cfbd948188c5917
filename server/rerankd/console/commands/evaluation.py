"""Options and help of `rerankd judgements` and `rerankd experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rerankd.console.commands.flags import Address, ApiKey, CaFile, Config, Json, TimeoutS, Tls
from rerankd.console.commands.help_texts import Command, CommandGroup
from rerankd.console.commands.runs import Key, Model, Reranker, Since, Until, User, which

judgements = typer.Typer(
    cls=CommandGroup,
    help="Import and export how relevant documents are to queries; no server is needed.\n\n"
    "Experiments measure rankings by these judgements.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

experiment = typer.Typer(
    cls=CommandGroup,
    help="Run logged calls again with another model, on a running server, and compare.\n\n"
    "Needs logged calls with all of their texts: runs.capture: full in the settings,\n"
    "and runs.calls: all for those that no reranker answered.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Source = Annotated[
    Literal["api", "grpc", "batch", "playground"] | None, which("api, grpc, batch or playground.", "SOURCE")
]
ExperimentId = Annotated[str, typer.Argument(metavar="ID", help="As `rerankd experiment list` shows it.")]
Worst = Annotated[
    int, typer.Option("--worst", min=0, max=1000, metavar="N", help="Worst queries to show.", show_default=True)
]


@judgements.command("import", cls=Command)
def import_judgements(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines or qrels, .gz too; - is standard input.")],
    *,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Texts of the queries: FILE is TREC qrels then.", exists=True),
    ] = None,
    documents: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Texts of the documents of qrels.", exists=True)
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Take relevance above 3 in qrels as 3.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Store the judgements of a file: grades 0, not relevant, to 3, best.

    A line of JSON has a query, a document or document_id, and a grade; or a
    query with documents and grades, as rerankd tune reads them.

      {"query": "solar sail", "document": "A sail ...", "grade": 2}
      {"query": "solar sail", "document_id": "d17", "grade": 0}

    Lines of qrels are: query id, 0, document id, relevance. Files of queries
    and documents are JSON with id and text, or id, tab, text. Documents must
    be as calls send them; without --documents, calls have to send their ids.

      rerankd judgements import judged.jsonl
      rerankd judgements import qrels.txt --queries q.tsv --documents d.jsonl
    """
    from rerankd.console.store import judgements as commands

    raise typer.Exit(commands.import_judgements(config, file, queries, documents, clips=clip, is_json=json))


@judgements.command("export", cls=Command)
def export_judgements(
    *,
    source: Annotated[
        Literal["api", "import", "feedback"] | None,
        typer.Option(metavar="SOURCE", help="Only grades from api, import or feedback.", show_default=False),
    ] = None,
    config: Config = None,
) -> None:
    """Print the judgements as JSON Lines, which import reads.

    Documents that were clicked and not judged have clicks and no grade.

      rerankd judgements export > judgements.jsonl
    """
    from rerankd.console.store import judgements as commands

    raise typer.Exit(commands.export_judgements(config, source or ""))


@experiment.command(cls=Command)
def run(
    candidate: Annotated[
        str,
        typer.Argument(
            help="Model or reranker to compare with. [dim]Default: the one of each call, as it is now[/dim]"
        ),
    ] = "",
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it.")] = "",
    since: Since = "",
    until: Until = "",
    model: Model = "",
    reranker: Reranker = "",
    key: Key = "",
    user: User = "",
    source: Source = None,
    max_runs: Annotated[
        int, typer.Option(min=1, max=2000, metavar="N", help="Runs at most, the newest.", show_default=True)
    ] = 200,
    depth: Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="Ranks that count.", show_default=True)] = 10,
    concurrency: Annotated[
        int, typer.Option(min=1, max=32, metavar="N", help="Calls under way at once.", show_default=True)
    ] = 4,
    worst: Worst = 10,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Run logged calls again with another model and compare the answers.

    Prints NDCG and MRR by the judgements, with confidence intervals of 95 %,
    how much the order changed, latency and cost, and the worst queries.

      rerankd experiment run local/default --model local/bm25 --since 7d
      rerankd experiment run support-v2 --reranker support --max-runs 1000
    """
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target
    from rerankd.console.store.runs import filter_of

    wanted = filter_of(since, until, None, model=model, reranker=reranker, key_id=key, user=user, source=source)
    plan = commands.ExperimentPlan(candidate, name, wanted, max_runs, depth, concurrency, detach)
    target = Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(commands.run(target, plan, worst, is_json=json))


@experiment.command("list", cls=Command)
def list_experiments(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Experiments at most.", show_default=True)] = 20,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """List experiments, the newest first."""
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target

    raise typer.Exit(commands.list_all(Target(address, api_key, timeout_s, tls, ca_file), limit, is_json=json))


@experiment.command(cls=Command)
def show(
    experiment_id: ExperimentId,
    *,
    worst: Worst = 10,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Show what an experiment found, and its worst queries."""
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target

    target = Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(commands.show(target, experiment_id, worst, is_json=json))


@experiment.command(cls=Command)
def cancel(
    experiment_id: ExperimentId,
    *,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Stop an experiment."""
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target

    target = Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(commands.cancel(target, experiment_id, is_json=json))


@experiment.command(cls=Command)
def delete(
    experiment_id: ExperimentId,
    *,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Delete an experiment that has ended, with its compared queries.

    Old ones go by themselves: evaluation.keep_experiments_days.
    """
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target

    target = Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(commands.delete(target, experiment_id, is_json=json))


@experiment.command(cls=Command)
def resume(
    experiment_id: ExperimentId,
    *,
    worst: Worst = 10,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Go on with an experiment whose server has gone."""
    from rerankd.console import experiments as commands
    from rerankd.console.calls import Target

    target = Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(commands.resume(target, experiment_id, worst, is_json=json))
