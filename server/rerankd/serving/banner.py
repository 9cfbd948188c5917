"""Prints the start-up summary in a terminal."""

from __future__ import annotations

import sys

from rerankd.serving.service import Addresses
from rerankd.settings import Settings


def announce(settings: Settings, addresses: Addresses) -> None:
    """Print addresses, default model, settings file and a first command to try, if stdout is a terminal."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("gRPC", f"{addresses.host}:{addresses.grpc_port}")
    table.add_row("HTTP", f"http://{addresses.host}:{addresses.http_port}")
    table.add_row("default model", settings.default_model)
    table.add_row("workers", str(settings.server.workers))
    table.add_row("settings", settings.source)
    table.add_row(
        "try",
        f'rerankd rerank --address {addresses.host}:{addresses.grpc_port} "capital of France" Paris Rome',
    )
    Console().print(Panel(table, title="[green]rerankd is ready[/]", border_style="green", expand=False))
