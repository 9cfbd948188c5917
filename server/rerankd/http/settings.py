"""Settings of the HTTP listener: compression, cross-origin calls, limits of requests and connections."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", re.IGNORECASE)


class ListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP listener: compression, cross-origin calls, limits of requests and connections."""

    allowed_origins: list[str] = msgspec.field(default_factory=list)
    """Origins of pages that may call from a browser, such as https://search.example.com; "*" for any; default: none."""
    compress_from_bytes: int = 1024
    """Responses of at least this size are compressed for clients that accept gzip or zstd; 0 for never."""
    keep_alive_s: int = 75
    """Seconds that an idle connection is kept; longer than usual proxies keep theirs, which is 60."""
    max_expansion: int = 250
    """Most decompressed bytes per compressed byte of a request body over 1 MiB; JSON has 5 to 30."""
    body_timeout_s: float = 30.0
    """Seconds to receive a body, and one more for each `min_body_bytes_per_s` of it; then 408."""
    min_body_bytes_per_s: int = 65536
    """Slowest rate of bodies that take longer than `body_timeout_s`."""
    header_timeout_s: float = 20.0
    """Seconds to receive the head of a request, from its first byte or the beginning of the connection; then 408."""
    write_timeout_s: float = 60.0
    """Seconds for which a client may stop reading a response; then the connection is aborted."""
    max_url_bytes: int = 16384
    """Longest URL; then 414."""
    max_head_bytes: int = 65536
    """Largest head, URL and headers together; then 431."""
    max_headers: int = 100
    """Most headers; then 431."""
    max_pipelined: int = 100
    """Requests that may wait on one connection behind the current one; with more it is closed."""
    max_connections: int = 8192
    """Connections of one worker, or fewer where the limit of open files has no room; further ones are refused."""
    max_connections_per_address: int = 2048
    """Connections of one address; a proxy in front is one address."""


def http_problems(options: ListenerSettings, path: str) -> list[str]:
    """Say what is wrong with the options found at `path`, one sentence each."""
    problems = [
        f"{path}.allowed_origins must be '*' or like https://host, without a path, has {origin!r}"
        for origin in options.allowed_origins
        if origin != "*" and not _ORIGIN.fullmatch(origin)
    ]
    if options.compress_from_bytes < 0:
        problems.append(f"{path}.compress_from_bytes must not be negative, is {options.compress_from_bytes}")
    problems += [
        f"{path}.{name} must be at least 1, is {value:g}"
        for name, value in msgspec.structs.asdict(options).items()
        if name not in ("allowed_origins", "compress_from_bytes") and value < 1
    ]
    return problems
