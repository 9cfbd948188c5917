"""Command-line options shared by several commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

CONNECTION: Final = "Connection"


class LogLevel(StrEnum):
    """Minimum level of log entries."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        "-a",
        envvar="RERANKD_ADDRESS",
        metavar="HOST:PORT",
        help="The server's gRPC address. [dim]Default: 127.0.0.1:50051[/dim]",
        rich_help_panel=CONNECTION,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="RERANKD_API_KEY",
        metavar="KEY",
        help="Sent as a bearer token; better set in the environment than typed.",
        rich_help_panel=CONNECTION,
    ),
]
TimeoutS = Annotated[
    float,
    typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Deadline.", rich_help_panel=CONNECTION),
]
Tls = Annotated[bool, typer.Option("--tls", help="Encrypt the connection.", rich_help_panel=CONNECTION)]
CaFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificates to trust, PEM; implies --tls.", rich_help_panel=CONNECTION),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with the contract's names.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", exists=True, dir_okay=False, help="Settings, YAML."),
]
