"""The commands, their options and their help."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rerankd.console.failures import FAILED, INTERRUPTED, CommandError

_HELP: Final = """One rerank service in front of every provider, and the models embedded in it.

[bold]Try it[/bold]

  rerankd serve
  rerankd rerank "who wrote Dune?" "Frank Herbert did." "A desert planet."
  cat notes.txt | rerankd rerank "race condition" --top-n 5
  rerankd batch -i queries.jsonl -o ranked.jsonl
  rerankd models

[bold]Exit codes[/bold]

  0    done
  1    failed: no server, or it refused; not healthy; settings with problems
  2    wrong usage
  130  interrupted
"""

_CONNECTION: Final = "Connection"
_COLUMNS: Final = "Columns"

app = typer.Typer(
    help=_HELP,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class LogLevel(StrEnum):
    """Least severe level that is logged."""

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
        rich_help_panel=_CONNECTION,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="RERANKD_API_KEY",
        metavar="KEY",
        help="Sent as a bearer token; better set in the environment than typed.",
        rich_help_panel=_CONNECTION,
    ),
]
TimeoutS = Annotated[
    float,
    typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Deadline.", rich_help_panel=_CONNECTION),
]
Tls = Annotated[bool, typer.Option("--tls", help="Encrypt the connection.", rich_help_panel=_CONNECTION)]
CaFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificates to trust, PEM; implies --tls.", rich_help_panel=_CONNECTION),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with the contract's names.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", exists=True, dir_okay=False, help="Settings, YAML."),
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from rerankd.console.serving import installed_version

        print(f"rerankd {installed_version('rerankd')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Handle what comes before the command."""
    if context.invoked_subcommand != "serve":
        # gRPC's own lines on standard error would stand beside the one message; read when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Listen here. [dim]Default: 127.0.0.1[/dim]")] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="gRPC port, 0 for a free one. [dim]Default: 50051[/dim]"),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="HTTP port, 0 for a free one. [dim]Default: 8080[/dim]"),
    ] = None,
    config: Config = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the ports. [dim]Default: 1[/dim]")
    ] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option(case_sensitive=False, help="What to log. [dim]Default: info[/dim]")
    ] = None,
) -> None:
    """Run the server, with gRPC and HTTP, until it is interrupted.

    Works with nothing configured: the embedded models need no key and no
    download. Options win over the environment, which wins over the file.

      rerankd serve
      rerankd serve --host 0.0.0.0 --config rerankd.yaml --workers 4
    """
    from rerankd.console import serving

    overrides = {
        "server.host": host,
        "server.grpc_port": grpc_port,
        "server.http_port": http_port,
        "server.workers": workers,
        "log.level": None if log_level is None else log_level.value,
    }
    raise typer.Exit(serving.serve(config, overrides))


@app.command()
def rerank(
    query: Annotated[str | None, typer.Argument(help="What the documents are compared with.")] = None,
    documents: Annotated[list[str] | None, typer.Argument(help="The documents.")] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Documents or a whole request; - reads standard input."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="One of `rerankd models`.")] = None,
    top_n: Annotated[int | None, typer.Option("--top-n", "-n", help="How many results to show.")] = None,
    rank_field: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Score this field of JSON objects; may repeat.")
    ] = None,
    fallback: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Try this when the model fails; may repeat.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Use scores that are known already.", show_default=True)
    ] = True,
    details: Annotated[bool, typer.Option("--details", help="Show stages and provider calls.")] = False,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Order documents by their relevance to a query.

    Documents are arguments, lines of a file or of standard input, or JSON: a
    list or JSON Lines of strings and objects ({"text": ..., "fields": ...}),
    or a whole request with query and options.

      rerankd rerank "capital of France" "Paris is." "Berlin is not."
      rerankd rerank "timeout" --file notes.txt --top-n 3
      cat hits.jsonl | rerankd rerank "solar sail" --rank-field title
      rerankd rerank --file request.json --json | jq .results
    """
    from rerankd.console import calls
    from rerankd.console.documents import collect_input

    given = collect_input(query, documents or (), file)
    options: dict[str, Any] = {
        "model": model,
        "top_n": top_n,
        "rank_fields": rank_field or None,
        "fallbacks": fallback or None,
        "cache": None if cache else "bypass",
        "include_details": details or None,
    }
    target = calls.Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(calls.rerank(target, given, options, is_json=json))


@app.command()
def batch(
    *,
    input_file: Annotated[
        Path, typer.Option("--input", "-i", metavar="FILE", help="Requests, one a row; - reads standard input.")
    ],
    output_file: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Outcomes, one a row; - is standard output.")
    ],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model of rows that name none.")] = None,
    top_n: Annotated[int | None, typer.Option("--top-n", "-n", min=1, help="How many results a row gets.")] = None,
    return_documents: Annotated[
        bool, typer.Option("--return-documents", help="Write each document with its result.")
    ] = False,
    fallback: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Try this when the model fails; may repeat.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Items under way at once; the server has its ceiling.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on with an earlier run, or replace its output.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed items of earlier runs again.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that is no request.")] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Stop after more failures than this.")
    ] = None,
    retry_for_s: Annotated[
        float, typer.Option("--retry-for", min=0, metavar="SECONDS", help="Wait so long for a server that went away.")
    ] = 60.0,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Rerank here, without a server; RERANKD_CONFIG has the settings.")
    ] = False,
    query_column: Annotated[str, typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The query.")] = "query",
    documents_column: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The list of documents.")
    ] = "documents",
    id_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_COLUMNS, help="The row's name. [dim]Default: item_id or id[/dim]"
        ),
    ] = None,
    text_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The text, where documents are objects."),
    ] = None,
    ignore_unknown: Annotated[
        bool,
        typer.Option("--ignore-unknown", rich_help_panel=_COLUMNS, help="Leave fields aside that no request has."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    address: Address = None,
    api_key: ApiKey = None,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Rerank a file of requests; go on where an earlier run ended.

    A row has a query, documents (strings or objects), and if it likes an id
    and any other field of a request. Files are JSON Lines, .gz and .zst of
    them, or .parquet. Outcomes come as they finish; item_index is the row's
    number, from 0. A row that fails has its error in the output.

    Exits with 1 when an item failed, with 130 when interrupted. Run the same
    command again to go on: finished items are not run twice.

      rerankd batch -i queries.jsonl -o ranked.jsonl --top-n 10
      rerankd batch -i queries.parquet -o ranked.parquet --id-column qid
      rerankd batch -i queries.jsonl -o ranked.jsonl --retry-failed
      zcat q.gz | rerankd batch -i - -o - --in-process -m local/bm25 > out
    """
    import math

    from rerankd.console.batch.plan import BatchPlan, Columns
    from rerankd.console.batch.run import run_batch
    from rerankd.console.calls import Target

    plan = BatchPlan(
        input=input_file,
        output=output_file,
        defaults={
            "model": model,
            "top_n": top_n,
            "return_documents": return_documents or None,
            "fallbacks": fallback or None,
        },
        columns=Columns(query_column, documents_column, id_column, text_field, ignore_unknown),
        concurrency=concurrency,
        is_resumed=resume,
        is_failed_retried=retry_failed,
        is_strict=strict,
        max_failures=max_failures,
        retry_for_s=retry_for_s,
    )
    target = Target(address, api_key, math.inf, tls, ca_file)
    raise typer.Exit(run_batch(target, plan, is_in_process=in_process, is_json=json))


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Show this one, with all that is known.")] = None,
    *,
    provider: Annotated[str | None, typer.Option(help="Only models of this provider.")] = None,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 30.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """List the models that can be named in a call, or show one."""
    from rerankd.console import calls

    target = calls.Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(calls.show_models(target, name, provider, is_json=json))


@app.command()
def top(
    *,
    url: Annotated[
        str, typer.Option("--url", "-u", metavar="URL", help="The server's HTTP address.", envvar="RERANKD_URL")
    ] = "http://127.0.0.1:8080",
    interval_s: Annotated[
        float, typer.Option("--interval", "-n", min=0.1, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and stop, as without a terminal.")] = False,
) -> None:
    """Watch a running server: rates, latencies, cooldowns and cost."""
    from rerankd.console.top import show_top

    show_top(url, interval_s, is_once=once)


@app.command()
def health(
    *,
    json: Json = False,
    address: Address = None,
    api_key: ApiKey = None,
    timeout_s: TimeoutS = 5.0,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Ask a server whether it serves; exit with 1 unless it does."""
    from rerankd.console import calls

    target = calls.Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(calls.check_health(target, is_json=json))


@app.command()
def providers(
    name: Annotated[str | None, typer.Argument(help="Show this one, with all that is known.")] = None,
    *,
    config: Config = None,
    check: Annotated[bool, typer.Option("--check", help="Try to reach those whose address is known.")] = False,
    json: Json = False,
) -> None:
    """List the providers that are installed, and what configures each, or show one.

    No server is needed. With --check, exits with 1 if a configured provider
    cannot be reached or used; no key is sent.

      rerankd providers
      rerankd providers cohere
      rerankd providers --config rerankd.yaml --check
    """
    from rerankd.console.providers import show_providers

    raise typer.Exit(show_providers(name, config, is_checked=check, is_json=json))


@app.command()
def check_config(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Settings, YAML.")],
) -> None:
    """Check a settings file without starting anything.

    The environment counts too, as it would for `serve`.
    """
    from rerankd.console import serving

    raise typer.Exit(serving.check_config(file))


class Gateway(StrEnum):
    """Whose settings can be taken over."""

    LITELLM = "litellm"


@app.command()
def import_config(
    source: Annotated[Gateway, typer.Argument(help="Whose file it is.")],  # noqa: ARG001  there is one so far
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Its settings, YAML.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to standard output.")
    ] = None,
) -> None:
    """Turn another gateway's settings into ours.

    Takes the rerank models over with their deployments, fallbacks and aliases;
    what is left out is named in the head of the result.

      rerankd import-config litellm config.yaml --output rerankd.yaml
    """
    from rerankd.console.importing import import_litellm

    raise typer.Exit(import_litellm(file, output))


@app.command()
def schema() -> None:
    """Print the JSON schema of the settings, for editors.

    The first line of a settings file names it:
    # yaml-language-server: $schema=rerankd.schema.json

      rerankd schema > rerankd.schema.json
    """
    from rerankd.console import serving

    raise typer.Exit(serving.print_schema())


@app.command()
def version(*, json: Json = False) -> None:
    """Print the versions of the service and of what it stands on."""
    from rerankd.console import serving

    raise typer.Exit(serving.show_version(is_json=json))


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; what goes wrong is one message on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(args=None if arguments is None else list(arguments), prog_name="rerankd")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        from rerankd.console.rendering import print_failure

        print_failure(error if isinstance(error, CommandError) else _unexpected(error))
        return error.exit_code if isinstance(error, CommandError) else FAILED
    return 0


def _unexpected(error: Exception) -> CommandError:
    text = f"unexpected {type(error).__name__}: {error}"
    return CommandError(text, "this is a fault of rerankd; set PYTHONDEVMODE=1 to see where it happens")
