"""Files by their suffix: JSON Lines, plain or compressed, and Parquet."""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rerankd.console.errors import USAGE, CommandError

_BLOCK_BYTES: Final = 1024 * 1024


class Format(StrEnum):
    """How a file is written."""

    LINES = "JSON Lines"
    GZIP = "JSON Lines, gzip"
    ZSTD = "JSON Lines, zstd"
    PARQUET = "Parquet"


def format_of(path: Path) -> Format:
    """Tell a file's format by its name; JSON Lines where the name says nothing."""
    suffixes = {".gz": Format.GZIP, ".zst": Format.ZSTD, ".parquet": Format.PARQUET}
    return suffixes.get(path.suffix.lower(), Format.LINES)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterable[bytes]]:
    """Open a file of lines for reading; `-` is standard input.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        if str(path) == "-":
            yield sys.stdin.buffer
        elif format_of(path) is Format.GZIP:
            with gzip.open(path, "rb") as stream:
                yield stream
        elif format_of(path) is Format.ZSTD:
            zstd = _zstd("reading .zst files")
            try:
                with zstd.open(path, "rb") as stream:
                    yield stream
            except zstd.ZstdError:
                raise EOFError from None
        else:
            with path.open("rb") as stream:
                yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise CommandError(f"{path} is not a whole compressed file", exit_code=USAGE) from None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", exit_code=USAGE) from None


@contextmanager
def open_compressed(path: Path, written_as: Format) -> Iterator[Any]:
    """Open a file for writing lines; `written_as` is `GZIP` or `ZSTD`."""
    if written_as is Format.GZIP:
        with gzip.open(path, "wb", compresslevel=6) as stream:
            yield stream
    else:
        with _zstd("writing .zst files").open(path, "wb") as stream:
            yield stream


def _zstd(purpose: str) -> Any:
    # Part of Python from 3.14 on, and a package of the same interface before.
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return require(name, purpose, "backports.zstd")


def require(module: str, purpose: str, package: str) -> Any:
    """Import an optional module.

    Raises:
        CommandError: It is not installed; names what to install.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise CommandError(f"{purpose} needs {package}", f"pip install '{package}'", USAGE) from None


def survey(path: Path) -> tuple[str, int | None]:
    """Read a file once.

    Returns:
        A digest of its bytes, and the number of its lines that are not blank (None for other formats).

    Raises:
        CommandError: It cannot be read.
    """
    digest, lines = hashlib.sha256(), 0
    is_text = format_of(path) is Format.LINES
    try:
        with path.open("rb") as stream:
            if is_text:
                for line in stream:
                    digest.update(line)
                    lines += not line.isspace()
            else:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", exit_code=USAGE) from None
    return digest.hexdigest(), lines if is_text else None
