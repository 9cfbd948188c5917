"""Expansion of references in values: `${NAME}`, `${NAME:-default}`, `${file:PATH}`; `$${` is a literal `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_FILE: Final = r"\$\{file:(?P<file>[^{}]+)\}"
_VARIABLE: Final = r"\$\{(?P<name>[A-Za-z_]\w*)(?P<or>:-(?P<default>[^{}]*))?\}"
_TOKEN: Final = re.compile(rf"(?P<literal>\$\$\{{)|{_FILE}|{_VARIABLE}|(?P<malformed>\$\{{)")
_FILE_TOKEN: Final = re.compile(rf"\$\$\{{|{_FILE}")
_SAME: Final = object()


class UntypedText(str):
    """String from the environment or a file, converted later to the type of its setting.

    `"8081"` becomes an integer for an integer setting and stays text for a string setting.

    Args:
        text: The original text.
        guess: The value for a setting that accepts any type, as YAML parses it; default: the text.
    """

    guess: Any
    is_reference: bool
    """Whether a reference was replaced by it; it may then be a secret wherever it is."""

    def __new__(cls, text: str, guess: Any = _SAME) -> UntypedText:
        """Create the string with its `guess` attribute."""
        made = super().__new__(cls, text)
        made.guess = text if guess is _SAME else guess
        made.is_reference = guess is _SAME
        return made


class References:
    """Expands references.

    Args:
        environ: Environment variables.
        folder: Base folder of relative paths in `${file:PATH}`.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self.problems: list[str] = []
        """Unset variables, unreadable files and malformed references found so far, one sentence each, with key path."""

    def fill(self, value: object, path: str = "") -> Any:
        """Return a copy of `value` with every reference expanded, including those nested in mappings and lists."""
        if isinstance(value, dict):
            return {key: self.fill(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        return UntypedText(_TOKEN.sub(lambda token: self._stand_in(token, path), value))

    def _stand_in(self, token: re.Match[str], path: str) -> str:
        if token["literal"]:
            return "${"
        if token["malformed"]:
            self.problems.append(
                f"{path}: `${{` begins no reference; write ${{NAME}}, ${{file:PATH}}, or $${{ for itself"
            )
            return ""
        return self._content(token["file"], path) if token["file"] else self._variable(token, path)

    def _variable(self, token: re.Match[str], path: str) -> str:
        found = self._environ.get(token["name"])
        if token["or"]:
            return found or token["default"]
        if found is None:
            self.problems.append(f"{path}: environment variable {token['name']} is not set")
        return found or ""

    def _content(self, name: str, path: str) -> str:
        file = resolve(name, self._folder)
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            self.problems.append(f"{path}: {file} cannot be read: {error.strerror or type(error).__name__}")
        except UnicodeDecodeError:
            self.problems.append(f"{path}: {file} is not UTF-8 text")
        return ""


def resolve(name: str, folder: Path) -> Path:
    """Return the path that `${file:NAME}` refers to in a settings file located in `folder`."""
    return folder / Path(name).expanduser()


def referenced_files(text: str, folder: Path) -> list[Path]:
    """List the files that `${file:PATH}` references in the text of a settings file."""
    return [resolve(token["file"], folder) for token in _FILE_TOKEN.finditer(text) if token["file"]]
