"""Commands that use the server's code: `serve`, `check-config`, `schema` and `version`."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rerankd.console.errors import OK, CommandError
from rerankd.console.rendering import print_json

if TYPE_CHECKING:
    from rerankd.settings import Settings

_REPORTED_PACKAGES: Final = ("grpcio", "protobuf", "uvicorn", "onnxruntime")


def serve(config: Path | None, overrides: Mapping[str, object]) -> int:
    """Run the server until it is stopped; return its exit code.

    Args:
        config: Settings file; None: the one that `RERANKD_CONFIG` names, if any.
        overrides: Values by dotted setting path; None: not given.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    from rerankd.settings import SettingsOrigin

    settings = load(config, given)
    gc.disable()  # the objects of a thousand modules are no garbage; to look for some takes 14% of their import
    try:
        from rerankd.serving import launcher
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed", "pip install 'rerankd[server,local]'") from error
    finally:
        gc.enable()
    return launcher.run(settings, SettingsOrigin(config, given))


def check_config(config: Path) -> int:
    """Validate a settings file, including its providers and models."""
    from rerankd.console.config_check import find_problems
    from rerankd.providers.tls import tls_warnings

    problems = asyncio.run(find_problems(config, os.environ))
    if problems:
        raise _unusable(config, problems)
    for warning in tls_warnings(load(config, {}).providers):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{config}: ok")
    return OK


def print_schema() -> int:
    """Print the JSON schema of the settings."""
    print(resources.files("rerankd").joinpath("settings.schema.json").read_text(encoding="utf-8"), end="")
    return OK


def show_version(*, is_json: bool) -> int:
    """Print the versions of rerankd, Python and the main libraries."""
    versions = {"rerankd": installed_version("rerankd"), "python": platform.python_version()}
    versions |= {name: installed_version(name) for name in _REPORTED_PACKAGES}
    if is_json:
        print_json(versions)
        return OK
    for name, version in versions.items():
        print(f"{name} {version or 'not installed'}")
    return OK


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution without importing it; None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def load(config: Path | None, overrides: Mapping[str, object]) -> Settings:
    """Read the settings.

    Raises:
        CommandError: They are invalid; lists all problems.
    """
    from rerankd.settings import SettingsError, load_settings

    try:
        return load_settings(config, overrides)
    except SettingsError as error:
        raise _unusable(config, error.problems) from error


def _unusable(config: Path | None, problems: Sequence[str]) -> CommandError:
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return CommandError(f"{config or 'the settings'} cannot be used:\n{listed}")
