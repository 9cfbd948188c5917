"""Terminal output of responses, models and health. Colors follow the terminal and NO_COLOR; pipes get none."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerankd.console.documents import Document, snippet
from rerankd.contract.wording import counted

if TYPE_CHECKING:
    from rerankd.console.errors import CommandError
    from rerankd_client import Model, RerankResponse

_BAR_WIDTH: Final = 16
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_PIPED_WIDTH: Final = 120
_STATUS_STYLES: Final = {"available": "green", "loading": "yellow", "unavailable": "red"}
_HEALTH_STYLES: Final = {"serving": "green"}


def make_console(*, is_error: bool = False) -> Console:
    """Return a console on standard output or error."""
    stream = sys.stderr if is_error else sys.stdout
    has_width = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, highlight=False, width=None if has_width else _PIPED_WIDTH)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_failure(error: CommandError) -> None:
    """Print the message and hint of a failed command on standard error."""
    console = make_console(is_error=True)
    console.print(Text.assemble(("error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("hint: ", "bold"), error.hint), soft_wrap=True)


def print_response(response: RerankResponse, documents: Sequence[Document], total_ms: float) -> None:
    """Print ranked documents with score bars, a summary of the call, and warnings (on standard error).

    Args:
        response: Response of the server.
        documents: Documents of the request.
        total_ms: Latency seen by the caller, in milliseconds.
    """
    console = make_console()
    table = make_table("#", "score", "", "index", "document")
    for column in (0, 1, 3):
        table.columns[column].justify = "right"
    table.columns[4].no_wrap, table.columns[4].overflow, table.columns[4].ratio = True, "ellipsis", 1
    scores = [result.relevance_score for result in response.results]
    is_unicode = console.encoding.lower().startswith("utf")
    for rank, result in enumerate(response.results, 1):
        share = bar_share(result.relevance_score, scores)
        style = "green" if share >= 0.5 else "yellow" if share >= 0.15 else "dim"
        text = snippet(documents[result.index]) if 0 <= result.index < len(documents) else ""
        bar = Text(draw_bar(share, is_unicode=is_unicode), style=style)
        table.add_row(str(rank), format_score(result.relevance_score), bar, str(result.index), Text(text))
    table.expand = True
    console.print(table)
    _print_details(console, response)
    console.print(Text(_footer(response, total_ms), style="dim"), soft_wrap=True)
    errors = make_console(is_error=True)
    for warning in response.warnings:
        errors.print(Text.assemble(("warning: ", "bold yellow"), warning), soft_wrap=True)


def bar_share(score: float, scores: Sequence[float]) -> float:
    """Return the filled share of a score's bar, 0 to 1.

    Scores within 0 to 1 are used as they are; others are scaled to the range of `scores`.
    """
    low, high = min(scores), max(scores)
    if low < 0 or high > 1:
        return 1.0 if high == low else (score - low) / (high - low)
    return score


def draw_bar(share: float, *, is_unicode: bool) -> str:
    """Draw a bar of at most 16 characters for a share of 0 to 1."""
    eighths = round(share * _BAR_WIDTH * 8)
    if not is_unicode:
        return "#" * (eighths // 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def format_score(score: float) -> str:
    """Format a score with four decimals; below 0.0001 in scientific notation, to distinguish it from 0."""
    return f"{score:.4f}" if score == 0 or abs(score) >= 0.0001 else f"{score:.1e}"


def print_models(models: Sequence[Model]) -> None:
    """Print a table of models, with the strategies of rerankers if there are any."""
    has_rerankers = any(model.kind == "reranker" for model in models)
    strategy = ["strategy"] if has_rerankers else []
    table = make_table("name", "provider", *strategy, "scoring", "score space", "window", "price", "status")
    for model in models:
        window = model.limits.max_tokens_per_document
        table.add_row(
            Text(model.name, style="bold"),
            Text(model.provider),
            *([_known(model.strategy)] if has_rerankers else []),
            _known(model.scoring),
            _known(model.score_space),
            f"{window:,}" if window else "-",
            Text(format_price(model)),
            Text(_known(model.status), style=_STATUS_STYLES.get(model.status, "")),
        )
    make_console().print(table)


def print_model(model: Model) -> None:
    """Print one model in full."""
    limits = model.limits
    facts = {
        "name": model.name,
        "description": model.description,
        "provider": model.provider,
        "aliases": ", ".join(model.aliases),
        "deployments": ", ".join(model.deployments),
        "strategy": _known(model.strategy),
        "members": ", ".join(model.members),
        "scoring": _known(model.scoring),
        "score space": _known(model.score_space),
        "window": f"{limits.max_tokens_per_document:,} tokens" if limits.max_tokens_per_document else "",
        "documents": f"{limits.max_documents:,} a call" if limits.max_documents else "",
        "truncation": _known(model.truncation_default),
        "price": format_price(model),
        "status": " - ".join(filter(None, (_known(model.status), model.status_detail))),
        "license": model.license,
        "source": model.source,
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if value and value != "-":
            table.add_row(Text(name, style="dim"), Text(value))
    make_console().print(table)


def print_health(statuses: Mapping[str, str]) -> None:
    """Print the status of each service."""
    table = Table.grid(padding=(0, 2))
    for service, status in statuses.items():
        table.add_row(Text(service), Text(status, style=_HEALTH_STYLES.get(status, "red")))
    make_console().print(table)


def format_price(model: Model) -> str:
    """Format a price, such as "$2 / 1,000 search units"."""
    if model.price is None:
        return "-"
    unit = model.price.unit.replace("_", " ")
    if unit == "token":
        return f"${model.price.usd_per_million:,g} / 1M tokens"
    return f"${model.price.usd_per_million / 1000:,g} / 1,000 {unit}s"


def _print_details(console: Console, response: RerankResponse) -> None:
    if response.stages:
        table = make_table("stage", "model", "documents", "ms", "shortened by", "status")
        for stage in response.stages:
            counts = (str(stage.documents), f"{stage.latency_ms:.1f}", stage.shortened_by or "-")
            status = ": ".join(filter(None, (_known(stage.status), stage.message)))
            table.add_row(stage.stage, stage.model, *counts, status)
        console.print(table)
    if response.chunks:
        table = make_table("chunk", "deployment", "model", "documents", "attempts", "ms")
        for chunk in response.chunks:
            counts = (str(chunk.documents), str(chunk.attempts), f"{chunk.latency_ms:.1f}")
            table.add_row(str(chunk.chunk_index), chunk.deployment or chunk.provider, chunk.model, *counts)
        console.print(table)
    if any(result.explanation for result in response.results):
        table = make_table("index", "part", "rank", "score", "normalized", "weight", "contribution")
        for result in response.results:
            for part in result.explanation:
                numbers = (part.relevance_score, part.normalized_score, part.weight, part.contribution)
                shown = ("-" if number is None else f"{number:.4g}" for number in numbers)
                table.add_row(str(result.index), part.name, "-" if part.rank is None else str(part.rank), *shown)
        console.print(table)


def _footer(response: RerankResponse, total_ms: float) -> str:
    usage = response.usage
    parts = [
        f"model {response.model}",
        f"provider {response.provider}" if response.provider else "",
        f"{response.latency_ms:.1f} ms in the server, {total_ms:.0f} ms in all",
        counted(usage.documents, "document"),
        f"{usage.total_tokens:,} tokens" if usage.total_tokens else "",
        f"{usage.search_units:,} search units" if usage.search_units else "",
        f"${usage.cost:.6f}" if usage.cost is not None else "",
        f"{usage.cached_documents:,} known before" if usage.cached_documents else "",
        f"${usage.saved_cost:.6f} saved" if usage.saved_cost else "",
        f"id {response.id}",
    ]
    return " | ".join(part for part in parts if part)


def make_table(*headings: str) -> Table:
    """Return an empty table in the common style."""
    return Table(*headings, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)


def _known(value: str) -> str:
    return "-" if value == "unspecified" else str(value)
