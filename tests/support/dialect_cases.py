"""Golden cases of the dialects: requests as the SDKs send them, and the exact answers."""

from __future__ import annotations

import gzip
import json
import math
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rerankd_adapters.testing.yaml_files import read_yaml

DIRECTORY = Path(__file__).parent.parent / "cases" / "dialects"
ANY = "$any"
"""Stands in an expected answer for what differs from call to call, such as a latency."""
TOLERANCE = 1e-6


@dataclass(frozen=True)
class DialectCase:
    """One request and what must come back."""

    dialect: str
    name: str
    path: str
    status: int
    answer: Any = None
    """The whole body; None where it is not checked."""
    method: str = "POST"
    body: str = ""
    """As it stands on the wire."""
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    padding: int = 0
    """Spaces that follow the body."""
    server: str = "serving"
    """The server it is sent to: "serving"; "full", which has no room for another call; or "strict", which refuses blank
    documents."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


@cache
def read_dialect_cases() -> list[DialectCase]:
    """Read all files; `defaults` of a file hold for each of its cases."""
    return list(_read())


def _read() -> Iterator[DialectCase]:
    for path in sorted(DIRECTORY.glob("*.yaml")):
        content = read_yaml(path)
        defaults = content.get("defaults", {})
        for case in content["cases"]:
            headers = {**defaults.get("headers", {}), **case.get("headers", {})}
            yield DialectCase(**{"dialect": path.stem, **defaults, **case, "headers": headers})


def send(url: str, case: DialectCase) -> Reply:
    """Send a case's bytes over a socket of its own and read the reply."""
    host, port = url.removeprefix("http://").split(":")
    body = case.body.encode() + b" " * case.padding
    headers = {"Host": f"{host}:{port}", "X-Request-Id": "r1", "Connection": "close", **case.headers}
    if body or case.method == "POST":
        headers |= {"Content-Length": str(len(body))}
    if body:
        headers.setdefault("Content-Type", "application/json")
    head = f"{case.method} {case.path} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in headers.items()
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    start, _, content = data.partition(b"\r\n\r\n")
    status, *lines = start.decode("latin-1").split("\r\n")
    received = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if received.get("content-encoding") == "gzip":  # long answers to SDKs that take it
        content = gzip.decompress(content)
    return Reply(int(status.split()[1]), received, json.loads(content))


def mismatches(expected: Any, found: Any, path: str = "$") -> Iterator[str]:
    """Yield where an answer is not as expected; numbers may be off by a millionth."""
    if expected == ANY:
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in expected.keys() | found.keys():
            if name not in found:
                yield f"{path}.{name} is missing"
            elif name not in expected:
                yield f"{path}.{name} is too much: {found[name]!r}"
            else:
                yield from mismatches(expected[name], found[name], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (wanted, item) in enumerate(zip(expected, found, strict=True)):
            yield from mismatches(wanted, item, f"{path}[{index}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if not math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{path} is {found}, not {expected}"
    elif type(expected) is not type(found) or expected != found:
        yield f"{path} is {found!r}, not {expected!r}"
