"""References in values: `${NAME}`, `${NAME:-default}` and `${file:PATH}`; `$${` is a literal `${`."""

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
    """Text whose meaning the type of its setting decides: `"8081"` is a number where one is wanted.

    Args:
        text: As it was written.
        guess: What it means to a setting of any type; default: the text.
    """

    guess: Any

    def __new__(cls, text: str, guess: Any = _SAME) -> UntypedText:
        """Keep the text together with its guess."""
        made = super().__new__(cls, text)
        made.guess = text if guess is _SAME else guess
        return made


class References:
    """Puts what references stand for in their place.

    Args:
        environ: Variables.
        folder: Where relative paths of `${file:PATH}` start.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self.problems: list[str] = []
        """What could not be read so far, each with the path of its key."""

    def fill(self, value: Any, path: str = "") -> Any:
        """Return `value` with every reference in it replaced, in mappings and lists too."""
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
    """Return the file that `${file:NAME}` of a settings file in `folder` means."""
    return folder / Path(name).expanduser()


def referenced_files(text: str, folder: Path) -> list[Path]:
    """List the files that a settings file's text refers to."""
    return [resolve(token["file"], folder) for token in _FILE_TOKEN.finditer(text) if token["file"]]
