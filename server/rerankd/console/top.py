"""`rerankd top`: a live view of the rates, latencies, cooldowns and cost of a running server."""

from __future__ import annotations

import time
from typing import Final

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rerankd.console.errors import CommandError
from rerankd.console.metrics_snapshots import MetricsInterval, MetricsSnapshot
from rerankd.console.rendering import make_console

_TIMEOUT_S: Final = 5.0
_CALL_SECONDS: Final = "rerankd_call_duration_seconds"
_PROVIDER_SECONDS: Final = "rerankd_provider_call_duration_seconds"


def show_top(url: str, interval_s: float, *, is_once: bool, api_key: str | None = None) -> None:
    """Show the metrics of a server until interrupted, or once.

    Args:
        url: HTTP address of the server.
        interval_s: Seconds between two scrapes.
        is_once: Print one interval and return, as without a terminal.
        api_key: Sent where metrics need one.

    Raises:
        CommandError: The server cannot be reached or has no metrics.
    """
    console = make_console()
    url = url if "://" in url else f"http://{url}"
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False, headers=headers) as client:
        before = _scrape(client, url)
        if is_once or not console.is_terminal:
            time.sleep(interval_s)
            console.print(render(MetricsInterval(before, _scrape(client, url))))
            return
        _live(client, url, interval_s, before, console)


def _live(client: httpx.Client, url: str, interval_s: float, before: MetricsSnapshot, console: Console) -> None:
    with Live(Text("measuring"), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval_s)
            try:
                after = _scrape(client, url)
            except CommandError as error:
                live.update(Text(error.message, style="red"), refresh=True)
                continue
            live.update(render(MetricsInterval(before, after)), refresh=True)
            before = after


def _scrape(client: httpx.Client, url: str) -> MetricsSnapshot:
    try:
        answer = client.get("/metrics", headers={"accept": "text/plain"})
        answer.raise_for_status()
        return MetricsSnapshot.of(answer.text, time.monotonic())
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        hint = "pass --api-key, or set RERANKD_API_KEY, with the scope metrics" if status in (401, 403) else _HINT
        raise CommandError(f"{url}/metrics answered {status}", hint=hint) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise CommandError(f"{url} cannot be reached", hint=_HINT) from None
    except ValueError:
        raise CommandError(f"{url}/metrics shows no metrics of rerankd", hint=_HINT) from None


_HINT: Final = "give the HTTP address of a running server with --url"


def render(interval: MetricsInterval) -> Group:
    """Render the tables of one interval."""
    parts: list[Text | Table] = [_summary(interval), _models(interval), _providers(interval)]
    if interval.after.values("rerankd_deployment_cooling", "deployment"):
        parts.append(_deployments(interval))
    return Group(*parts)


def _summary(interval: MetricsInterval) -> Text:
    now = interval.after
    calls = interval.increase("rerankd_calls_total")
    failed = calls - interval.increase("rerankd_calls_total", code="OK")
    cached = interval.increase("rerankd_cache_documents_total") - interval.increase(
        "rerankd_cache_documents_total", result="miss"
    )
    asked = interval.increase("rerankd_cache_documents_total")
    lag_s = interval.quantile("rerankd_event_loop_lag_seconds", 0.99)
    facts = {
        "calls/s": f"{interval.rate('rerankd_calls_total'):,.1f}",
        "failed": f"{failed / calls:.1%}" if calls else "-",
        "under way": f"{now.total('rerankd_calls_in_flight'):,.0f}",
        "our p50": _ms(interval.quantile("rerankd_overhead_seconds", 0.5)),
        "cached": f"{cached / asked:.0%}" if asked else "-",
        "$/h": _dollars(interval.rate("rerankd_cost_usd_total") * 3600),
        "$ in all": _dollars(now.total("rerankd_cost_usd_total")),
        "loop late by": _ms(lag_s),
    }
    line = Text()
    for name, value in facts.items():
        line.append(f"{name} ", style="dim").append(f"{value}   ", style="bold")
    return line


def _models(interval: MetricsInterval) -> Table:
    table = _table("model", "calls/s", "failed", "p50", "p95", "p99", "retries", "fallbacks")
    for model in interval.after.values("rerankd_calls_total", "model"):
        calls = interval.increase("rerankd_calls_total", model=model)
        failed = calls - interval.increase("rerankd_calls_total", model=model, code="OK")
        table.add_row(
            model or "(unknown)",
            f"{interval.rate('rerankd_calls_total', model=model):,.1f}",
            Text(f"{failed:,.0f}", style="red" if failed else "dim"),
            *(_ms(interval.quantile(_CALL_SECONDS, share, model=model)) for share in (0.5, 0.95, 0.99)),
            f"{interval.increase('rerankd_retries_total', model=model):,.0f}",
            f"{interval.increase('rerankd_fallbacks_total', model=model):,.0f}",
        )
    return table


def _providers(interval: MetricsInterval) -> Table:
    table = _table("provider", "calls/s", "failed", "p50", "p95", "$/h", "search units")
    name = f"{_PROVIDER_SECONDS}_count"
    for provider in interval.after.values(name, "provider"):
        failed = interval.increase(name, provider=provider) - interval.increase(name, provider=provider, outcome="ok")
        table.add_row(
            provider,
            f"{interval.rate(name, provider=provider):,.1f}",
            Text(f"{failed:,.0f}", style="red" if failed else "dim"),
            *(_ms(interval.quantile(_PROVIDER_SECONDS, share, provider=provider)) for share in (0.5, 0.95)),
            _dollars(interval.rate("rerankd_cost_usd_total", provider=provider) * 3600),
            f"{interval.increase('rerankd_search_units_total', provider=provider):,.0f}",
        )
    return table


def _deployments(interval: MetricsInterval) -> Table:
    table = _table("deployment", "state", "under way", "waiting", "cooldowns")
    for deployment in interval.after.values("rerankd_deployment_cooling", "deployment"):
        is_open = interval.after.total("rerankd_deployment_cooling", deployment=deployment) > 0
        table.add_row(
            deployment,
            Text("circuit open", style="red") if is_open else Text("in use", style="green"),
            f"{interval.after.total('rerankd_deployment_in_flight', deployment=deployment):,.0f}",
            f"{interval.after.total('rerankd_deployment_queue_depth', deployment=deployment):,.0f}",
            f"{interval.after.total('rerankd_cooldowns_total', deployment=deployment):,.0f}",
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, min_width=28)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _dollars(value: float) -> str:
    return f"{value:,.2f}" if value >= 1 or not value else f"{value:.6f}".rstrip("0")
