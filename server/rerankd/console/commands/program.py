"""The Typer application: commands, options and help."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from rerankd.console.commands import batch, evaluation, rerankers, runs, settings, spend, store, tune
from rerankd.console.commands.flags import Address, ApiKey, CaFile, Config, Json, LogLevel, TimeoutS, Tls
from rerankd.console.commands.help_texts import Command, CommandGroup
from rerankd.console.errors import FAILED, INTERRUPTED, CommandError

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


app = typer.Typer(
    cls=CommandGroup,
    help=_HELP,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Handle global options."""
    if context.invoked_subcommand != "serve":
        # Suppresses gRPC's log lines on standard error, which would appear next to our message; read at import.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@app.command(cls=Command)
def serve(
    *,
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Listen here. [dim]Default: localhost[/dim]")] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="gRPC port, 0 for a free one. [dim]Default: 50051[/dim]"),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="HTTP port, 0 for a free one. [dim]Default: 8080[/dim]"),
    ] = None,
    config: Config = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that share the ports. [dim]Default: 1[/dim]")
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            case_sensitive=False,
            metavar="LEVEL",
            help="What to log: debug, info, warning or error. [dim]Default: info[/dim]",
        ),
    ] = None,
    allow_unauthenticated: Annotated[
        bool | None,
        typer.Option("--allow-unauthenticated", help="Listen where other machines may call, without a key."),
    ] = None,
) -> None:
    """Run the server, with gRPC and HTTP, until it is interrupted.

    Works with nothing configured: the embedded models need no key and no
    download. Options win over the environment, which wins over the file.

      rerankd serve
      rerankd serve --config rerankd.yaml --workers 4
      rerankd serve --host 0.0.0.0 --allow-unauthenticated
    """
    from rerankd.console import serving

    overrides = {
        "server.host": host,
        "server.grpc_port": grpc_port,
        "server.http_port": http_port,
        "server.workers": workers,
        "server.allow_unauthenticated": allow_unauthenticated,
        "log.level": None if log_level is None else log_level.value,
    }
    raise typer.Exit(serving.serve(config, overrides))


@app.command(cls=Command)
def rerank(
    query: Annotated[str | None, typer.Argument(help="What the documents are compared with.")] = None,
    documents: Annotated[list[str] | None, typer.Argument(help="The documents.")] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Documents or a whole request; - reads standard input."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="One of `rerankd models`.")
    ] = None,
    top_n: Annotated[int | None, typer.Option("--top-n", "-n", metavar="N", help="How many results to show.")] = None,
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
    options: dict[str, object] = {
        "model": model,
        "top_n": top_n,
        "rank_fields": rank_field or None,
        "fallbacks": fallback or None,
        "cache": None if cache else "bypass",
        "include_details": details or None,
    }
    target = calls.Target(address, api_key, timeout_s, tls, ca_file)
    raise typer.Exit(calls.rerank(target, given, options, is_json=json))


app.command(cls=Command)(batch.batch)


app.command(cls=Command)(tune.tune)


@app.command(cls=Command)
def models(
    name: Annotated[str | None, typer.Argument(help="Show this one, with all that is known.")] = None,
    *,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only models of this provider.")] = None,
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


@app.command(cls=Command)
def top(
    *,
    url: Annotated[
        str, typer.Option("--url", "-u", metavar="URL", help="The server's HTTP address.", envvar="RERANKD_URL")
    ] = "http://127.0.0.1:8080",
    interval_s: Annotated[
        float, typer.Option("--interval", "-n", min=0.1, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and stop, as without a terminal.")] = False,
    api_key: ApiKey = None,
) -> None:
    """Watch a running server: rates, latencies, cooldowns and cost."""
    from rerankd.console.top import show_top

    show_top(url, interval_s, is_once=once, api_key=api_key)


@app.command(cls=Command)
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


@app.command(cls=Command)
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
    from rerankd.console.providers.listing import show_providers

    raise typer.Exit(show_providers(name, config, is_checked=check, is_json=json))


app.command(cls=Command)(settings.check_config)


app.command(cls=Command)(settings.import_config)


app.command(cls=Command)(settings.schema)


app.command(cls=Command)(store.migrate)


app.add_typer(store.keys, name="keys")


app.command(cls=Command)(spend.spend)


app.add_typer(rerankers.rerankers, name="rerankers")


app.add_typer(runs.runs, name="runs")


app.add_typer(evaluation.judgements, name="judgements")


app.add_typer(evaluation.experiment, name="experiment")


@app.command(cls=Command)
def version(*, json: Json = False) -> None:
    """Print the versions of the service and of what it stands on."""
    from rerankd.console import serving

    raise typer.Exit(serving.show_version(is_json=json))


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; errors are printed as one message on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot encode must not fail the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are text files
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        _program_for(given)(args=given, prog_name="rerankd")
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


def _program_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the program with nothing but the command that the first argument names, if it names one.

    Typer builds all commands it knows of, some 40, before it looks at the arguments: 25 ms.
    """
    name = arguments[0] if arguments else ""
    narrowed = copy.copy(app)
    narrowed.registered_commands = [each for each in app.registered_commands if _name_of(each) == name]
    narrowed.registered_groups = [each for each in app.registered_groups if each.name == name]
    return narrowed if narrowed.registered_commands or narrowed.registered_groups else app


def _name_of(command: CommandInfo) -> str:
    return command.name or (get_command_name(command.callback.__name__) if command.callback else "")


def _unexpected(error: Exception) -> CommandError:
    text = f"unexpected {type(error).__name__}: {error}"
    return CommandError(text, "this is a fault of rerankd; set PYTHONDEVMODE=1 to see where it happens")
