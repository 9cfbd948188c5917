"""The command `import-config`: converts another gateway's settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from rerankd.console.conversion.litellm_config import ImportResult, import_config
from rerankd.console.errors import OK, CommandError
from rerankd.contract.wording import counted


def import_litellm(file: Path, output: Path | None) -> int:
    """Convert a LiteLLM proxy's config to a settings file; a header comment lists what was not converted.

    Args:
        file: LiteLLM's `config.yaml`.
        output: File to create with mode 0600, since it may contain keys; None: standard output.

    Raises:
        CommandError: The file cannot be read or has no rerank model, or `output` exists.
    """
    imported = import_config(_read(file))
    if "models" not in imported.settings:
        raise CommandError(f"{file} has no rerank model{_listed(imported.skipped)}")
    text = render(imported, file.name)
    if output is None:
        print(text, end="")
        return OK
    _write(output, text)
    models = counted(len(imported.settings["models"]), "model")
    print(f"{output}: {models}; check it with `rerankd check-config {output}`")
    for label, lines in (("left out", imported.skipped), ("to be looked at", imported.notices)):
        for line in lines:
            print(f"{label}: {_one_line(line)}", file=sys.stderr)
    return OK


def render(imported: ImportResult, name: str) -> str:
    """Return the settings file's text."""
    head = [f"Made from {name} by `rerankd import-config litellm`."]
    for title, lines in (("Entries left out:", imported.skipped), ("To be looked at:", imported.notices)):
        if lines:
            head += ["", title, *(f"- {_one_line(line)}" for line in lines)]
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head)
    body = yaml.safe_dump(imported.settings, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return f"{comment}\n{body}"


def _read(file: Path) -> Mapping[str, object]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{file} is not valid YAML") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_list"), list):
        raise CommandError(f"{file} is no LiteLLM config: it has no model_list")
    return config


def _write(output: Path, text: str) -> None:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CommandError(f"{output} exists already", "remove it, or name another with --output") from error
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror or error}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"\n  - {_one_line(line)}" for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())
