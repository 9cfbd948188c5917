"""Options and help of the commands about settings files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def check_config(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Settings, YAML.")],
) -> None:
    """Check a settings file without starting anything.

    The environment counts too, as it would for `serve`.
    """
    from rerankd.console import serving

    raise typer.Exit(serving.check_config(file))


class ConfigSource(StrEnum):
    """Gateway whose settings can be imported."""

    LITELLM = "litellm"


def import_config(
    source: Annotated[ConfigSource, typer.Argument(help="Whose file it is.")],  # noqa: ARG001 - there is one so far
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
    from rerankd.console.conversion.import_config import import_litellm

    raise typer.Exit(import_litellm(file, output))


def schema() -> None:
    """Print the JSON schema of the settings, for editors.

    The first line of a settings file names it:
    # yaml-language-server: $schema=rerankd.schema.json

      rerankd schema > rerankd.schema.json
    """
    from rerankd.console import serving

    raise typer.Exit(serving.print_schema())
