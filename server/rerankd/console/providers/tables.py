"""Terminal output of provider statuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from rerankd.console.providers.facts import (
    authentication_text,
    count_text,
    extras_of,
    known,
    model_facts,
    price_sources,
    price_text,
    scoring_text,
)
from rerankd.console.providers.status import ProviderStatus, shown_url
from rerankd.console.rendering import make_console, make_table
from rerankd_adapters.base import Provider

_NOT_CONFIGURED = "not configured"


def print_providers(found: Sequence[ProviderStatus], broken: Mapping[str, str], *, is_checked: bool) -> None:
    """Print a table of providers, followed by broken ones with the reason."""
    headings = ["name", "title", "configured by", "models", "scoring"]
    table = make_table(*headings, *(["reachable"] if is_checked else []))
    table.columns[3].justify = "right"
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for each in found:
        provider = each.provider
        row = [
            Text(each.name, style="bold" if each.configured_by else ""),
            Text(provider.title),
            _configured(each),
            Text(str(len(provider.models)) if provider.models else "-"),
            Text(scoring_text(provider)),
        ]
        table.add_row(*row, *([_reachable(each)] if is_checked else []))
    console = make_console()
    console.print(table)
    for name, problem in sorted(broken.items()):
        console.print(Text.assemble((name, "bold"), "  ", (f"broken: {problem}", "red")), soft_wrap=True)
    console.print(Text("`rerankd providers NAME` says everything about one", style="dim"))


def print_provider(each: ProviderStatus) -> None:
    """Print one provider in full."""
    provider = each.provider
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(each).items():
        if value:
            table.add_row(Text(name, style="dim"), value if isinstance(value, Text) else Text(value))
    console = make_console()
    console.print(table)
    for option, sentence in provider.options.items():
        variables = provider.option_variables.get(option, ())
        note = f" ({', '.join(variables)})" if variables else ""
        console.print(Text.assemble(("option ", "dim"), (option, "bold"), f"  {sentence}{note}"), soft_wrap=True)
    console.print()
    console.print(_models(provider))
    for source in price_sources(provider):
        console.print(Text(f"prices: {source}", style="dim"), soft_wrap=True)
    for quirk in (*provider.quirks, *(provider.chat.quirks if provider.chat else ())):
        console.print(Text(f"- {quirk}"), soft_wrap=True)


def print_problems(found: Sequence[ProviderStatus]) -> None:
    """Print the problems of configured providers on standard error."""
    console = make_console(is_error=True)
    for each in found:
        for problem in each.problems:
            console.print(Text.assemble(("warning: ", "bold yellow"), problem), soft_wrap=True)


@contextmanager
def show_progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal; yields a function that advances it by one of `total`."""
    console = make_console(is_error=True)
    columns = (TextColumn("trying to reach providers"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


def _facts(each: ProviderStatus) -> dict[str, str | Text]:
    provider = each.provider
    return {
        "name": Text(each.name, style="bold"),
        "title": provider.title,
        "provider": provider.name if provider.name != each.name else "",
        "configured by": _configured(each),
        "reachable": "" if each.is_reachable is None else _reachable(each),
        "aliases": ", ".join(provider.aliases),
        "base URL": shown_url(each.base_url) or "none of its own: the operator says",
        "key from": ", ".join(provider.key_variables),
        "base URL from": ", ".join(provider.base_url_variables),
        "meant to be used by": ", ".join(provider.presence_variables),
        "authentication": "; or ".join(map(authentication_text, provider.authentication)),
        "key": "required" if provider.key_is_required else "optional",
        "needs": ", ".join(f"rerankd[{extra}]" for _, extra in extras_of(provider)),
        "models are listed by": provider.list_route,
        "reference": provider.reference,
        "checked on": provider.checked,
    }


def _models(provider: Provider) -> Table:
    table = make_table("model", "scoring", "score space", "documents", "tokens", "price", "source")
    table.columns[0].no_wrap = True
    table.columns[-1].overflow = "fold"
    for fact in model_facts(provider):
        facts = fact.facts
        cells = (
            known(facts.scoring),
            known(facts.score_space),
            count_text(facts.max_documents),
            count_text(facts.max_tokens_per_document),
            price_text(fact.price),
            facts.source,
        )
        table.add_row(Text(fact.name, style="bold"), *map(Text, cells))
    return table


def _configured(each: ProviderStatus) -> Text:
    if not each.configured_by:
        return Text(_NOT_CONFIGURED, style="dim")
    return Text(each.configured_by, style="red" if each.problems else "green")


def _reachable(each: ProviderStatus) -> Text:
    if each.is_reachable is None:
        return Text("no address", style="dim")
    return Text(f"yes ({each.reach})", style="green") if each.is_reachable else Text(f"no ({each.reach})", style="red")
