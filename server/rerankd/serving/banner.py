"""Start-up summary in a terminal, and warnings of what newcomers overlook."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from shutil import which

import structlog

from rerankd.serving.listening import Addresses, exposed_addresses
from rerankd.serving.load_balancer import BALANCED_DRAIN_DELAY_S, environment_sign
from rerankd.serving.store_notice import note_store
from rerankd.settings import ServerSettings, Settings

_log = structlog.get_logger("rerankd.serving")


def announce(settings: Settings, addresses: Addresses) -> None:
    """Warn if anybody may call or nothing can be stored; to a terminal, print a summary and a command to try."""
    exposed = [] if settings.access.enabled else exposed_addresses(addresses.addresses)
    if exposed:
        _log.warning("anybody may call: callers are not authenticated", addresses=exposed)
    note_store(settings.store, os.environ)
    if not sys.stdout.isatty():
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("gRPC", f"{addresses.host}:{addresses.grpc_port}")
    table.add_row(
        "HTTP", f"{'https' if settings.server.tls.is_on else 'http'}://{addresses.host}:{addresses.http_port}"
    )
    table.add_row("callers", _describe_callers(settings, exposed))
    table.add_row("default model", settings.default_model)
    table.add_row("workers", str(settings.server.workers))
    table.add_row("drain", _describe_drain(settings.server.drain_delay_s))
    table.add_row("settings", settings.source)
    console = Console()
    console.print(Panel(table, title="[green]rerankd is ready[/]", border_style="green", expand=False))
    # Outside of the box and in one line, so that it can be copied.
    console.print(f"[bold]try[/]  {_first_command(addresses)}", soft_wrap=True, highlight=False)


def _first_command(addresses: Addresses) -> str:
    is_usual = addresses.host in ("localhost", "127.0.0.1") and addresses.grpc_port == ServerSettings().grpc_port
    address = "" if is_usual else f"--address {addresses.host}:{addresses.grpc_port} "
    return f'{_program()} rerank {address}"capital of France" Paris Rome'


def _program() -> str:
    """Return the command that starts the program: its name if that is on the path, else the path it was started by."""
    return "rerankd" if which("rerankd") or not sys.argv[0].endswith("rerankd") else os.path.relpath(sys.argv[0])


def _describe_callers(settings: Settings, exposed: Sequence[str]) -> str:
    if settings.access.enabled:
        store = "PostgreSQL" if not settings.store.is_sqlite else str(settings.store.sqlite_path())
        return f"those with an API key, of the settings or of {store}"
    if not exposed:
        return "this machine, without a key"
    return f"[yellow]anybody who reaches {', '.join(exposed)}, without a key (allow_unauthenticated)[/]"


def _describe_drain(configured_s: float | None) -> str:
    if configured_s is not None:
        return f"listeners close {configured_s:g} s after SIGTERM"
    if sign := environment_sign(os.environ):
        return f"listeners close {BALANCED_DRAIN_DELAY_S:g} s after SIGTERM: {sign}"
    return f"listeners close at once on SIGTERM, after {BALANCED_DRAIN_DELAY_S:g} s once a load balancer is seen"
