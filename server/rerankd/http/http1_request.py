"""Heads of HTTP/1.1 requests, from templates that requests share which differ only in the values of their headers."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from rerankd.http.decompression import CODINGS
from rerankd.http.transport import USER_AGENT, unsendable
from rerankd_adapters.base import HttpRequest

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST: Final = re.compile(r"[0-9A-Za-z._~:-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that follow from the body, and are nobody else's to set."""
_WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD"})
"""Methods that do not say that there is no body: RFC 9110, section 8.6."""
_KEPT_IN_PATHS: Final = "%/:=&~+!$,;'@()*[]|^"
_KEPT_IN_QUERIES: Final = _KEPT_IN_PATHS + "?"


@dataclass(frozen=True, slots=True)
class RequestForm:
    """Where requests go, and what of their heads does not change from one to the next."""

    is_tls: bool
    host: str
    """A name, or an address without brackets."""
    port: int
    is_head: bool
    """Whether the response has no body, whatever its headers say."""
    tells_length: bool
    """Whether the head has a `content-length`."""
    template: str
    """For `%`: takes the values of the headers, then the length of the body where it is told."""

    def head_of(self, request: HttpRequest) -> bytes:
        """Write the head of a request of this form.

        Raises:
            AdapterError: `UNAVAILABLE` for a header's value that cannot be sent.
        """
        values = request.headers.values()
        text = "".join(values)
        if not text.isprintable() and _CONTROL.search(text):
            raise unsendable()
        filled = self.template % ((*values, len(request.body)) if self.tells_length else tuple(values))
        try:
            return filled.encode()
        except UnicodeEncodeError:  # a lone surrogate
            raise unsendable() from None


def form_key(request: HttpRequest) -> tuple[object, ...]:
    """Return what is equal for two requests of one form, and for no others."""
    return (request.method, request.url, not request.body, *request.headers)


def form_of(request: HttpRequest) -> RequestForm:
    """Prepare the form of a request to an `http` or `https` URL.

    Raises:
        AdapterError: `UNAVAILABLE` for a request that cannot be sent.
    """
    try:
        return _form_of(request)
    except ValueError:
        raise unsendable() from None


def _form_of(request: HttpRequest) -> RequestForm:
    parts = urlsplit(request.url)
    names = {name.lower() for name in request.headers}
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not request.url.isprintable()  # urlsplit drops line breaks without a word
        or not all(map(_TOKEN.fullmatch, (request.method, *names)))
        or not names.isdisjoint(_FRAMING)
    ):
        raise ValueError
    host, port = _address(parts)
    tells_length = bool(request.body) or request.method not in _WITHOUT_LENGTH
    defaults = [f"{name}: {value}" for name, value in _defaults(parts, host, port).items() if name not in names]
    fixed = "".join(f"{line}\r\n" for line in (f"{request.method} {_target(parts)} HTTP/1.1", *defaults))
    varying = "".join(f"{name}: \0\r\n" for name in request.headers)
    length = "content-length: %d\r\n" if tells_length else ""
    template = (fixed + varying).replace("%", "%%").replace("\0", "%s") + length + "\r\n"
    return RequestForm(parts.scheme == "https", host, port, request.method == "HEAD", tells_length, template)


def _address(parts: SplitResult) -> tuple[str, int]:
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if not _HOST.fullmatch(host):
        raise ValueError
    return host, _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port


def _defaults(parts: SplitResult, host: str, port: int) -> Mapping[str, str]:
    """Return the headers that a request has unless it brings its own."""
    bracketed = f"[{host}]" if ":" in host else host
    headers = {
        "host": bracketed if port == _DEFAULT_PORTS[parts.scheme] else f"{bracketed}:{port}",
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": ", ".join(CODINGS),
    }
    if parts.username is not None:
        credentials = map(unquote_to_bytes, (parts.username, parts.password or ""))
        headers["authorization"] = f"Basic {b64encode(b':'.join(credentials)).decode('ascii')}"
    return headers


def _target(parts: SplitResult) -> str:
    path = quote(parts.path, safe=_KEPT_IN_PATHS) or "/"
    return f"{path}?{quote(parts.query, safe=_KEPT_IN_QUERIES)}" if parts.query else path
