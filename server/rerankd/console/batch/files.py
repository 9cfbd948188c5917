"""File formats by suffix: JSON Lines, plain or compressed, and Parquet."""

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
    """File format."""

    LINES = "JSON Lines"
    GZIP = "JSON Lines, gzip"
    ZSTD = "JSON Lines, zstd"
    PARQUET = "Parquet"


def format_of(path: Path) -> Format:
    """Return the format for a file's suffix; JSON Lines for unknown suffixes."""
    suffixes = {".gz": Format.GZIP, ".zst": Format.ZSTD, ".parquet": Format.PARQUET}
    return suffixes.get(path.suffix.lower(), Format.LINES)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterable[bytes]]:
    """Open a JSON Lines file for reading, decompressing it if needed; `-` is standard input.

    Raises:
        CommandError: It cannot be read or decompressed.
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
    """Open a compressed file for writing; `written_as` is `GZIP` or `ZSTD`."""
    if written_as is Format.GZIP:
        with gzip.open(path, "wb", compresslevel=6) as stream:
            yield stream
    else:
        with _zstd("writing .zst files").open(path, "wb") as stream:
            yield stream


def _zstd(purpose: str) -> Any:
    # In the standard library from Python 3.14 on; backports.zstd has the same interface.
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return require(name, purpose, "backports.zstd")


def require(module: str, purpose: str, package: str) -> Any:
    """Import an optional module.

    Args:
        module: Dotted name.
        purpose: What it is needed for, for the error message.
        package: Distribution that contains it.

    Raises:
        CommandError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise CommandError(f"{purpose} needs {package}", f"pip install '{package}'", USAGE) from None


def inspect_file(path: Path) -> tuple[str, int | None]:
    """Read a file once to identify and measure it.

    Returns:
        SHA-256 of its bytes in hex, and its number of non-blank lines (None unless plain JSON Lines).

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
