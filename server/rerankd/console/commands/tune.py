"""Options and help of `rerankd tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rerankd.console.commands.flags import Config, Json


def tune(
    judged: Annotated[Path, typer.Argument(metavar="FILE", help="Judged queries, JSON Lines; - reads standard input.")],
    *,
    reranker: Annotated[
        str | None, typer.Option("--reranker", "-r", metavar="KEY", help="A fusion of the settings.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option("--member", "-m", metavar="MODEL", help="A model to fuse, instead of --reranker; repeat it."),
    ] = None,
    method: Annotated[
        Literal["auto", "weighted", "rrf", "z-score", "dbsf", "rank", "isr", "combmnz"] | None,
        typer.Option(metavar="METHOD", help="How scores are joined. [dim]Default: that of the reranker, or auto[/dim]"),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Queries under way at once.")] = 4,
    config: Config = None,
    json: Json = False,
) -> None:
    """Learn the weights of a fusion from judged queries.

    A line of FILE is one query with its documents, and a grade for each: 0 is
    not relevant, 2 is worth twice as much as 1. Documents are texts or objects.

      {"query": "solar sail", "documents": ["A ...", "B ..."], "grades": [2, 0]}

    Every member scores every query once, in this process, with the models and
    keys of the settings. Then the weights with the best NDCG@10 are searched,
    one member at a time. Before and after are printed with a confidence
    interval of 95 %; "after" is cross-validated: each query is ordered by
    weights that were learnt without it. Some 40 queries will do. If the gain
    is not clear, it says so: keep your weights then.

    The settings with the new weights are printed; nothing is written.

      rerankd tune judged.jsonl --config rerankd.yaml --reranker hybrid
      rerankd tune judged.jsonl -m local/bm25 -m local/all-minilm-l6-v2
      zcat judged.jsonl.gz | rerankd tune - -r hybrid --method rrf > new.yaml
    """
    from rerankd.console.tune.plan import TunePlan
    from rerankd.console.tune.run import run_tuning

    plan = TunePlan(judged, reranker, member or [], method, concurrency, config)
    raise typer.Exit(run_tuning(plan, is_json=json))
