"""Texts that must be found in nothing a server says of itself: the keys it uses, and the documents it is sent.

What is said to tests goes to `hear`; `tests.support.canary_plugin` searches it after each of them.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from rerankd_adapters.testing.recordings import KEY

CANARY_SECRET: Final = "canary-secret-5d41402abc4b2a76"
"""Part of keys, tokens and passwords of the tests' servers."""
CANARY_DOCUMENT: Final = "canary-document-0cc175b9c0f1"
"""Part of documents and queries of the tests' calls."""

OUTPUT: Final = "captured output"
LOG: Final = "log of a server process"
SPANS: Final = "exported spans"
METRICS: Final = "metrics"
ERRORS: Final = "errors"
ANSWERS: Final = "standard output of a command"
"""Where results belong, and with them documents; secrets do not."""
CHANNELS: Final = (OUTPUT, LOG, SPANS, METRICS, ERRORS, ANSWERS)


class Heard(NamedTuple):
    """Something that was said somewhere."""

    channel: str
    text: bytes


_heard: Final[deque[Heard]] = deque()


def hear(channel: str, text: str | bytes) -> None:
    """Keep what was said until the test has ended. Safe for any thread."""
    assert channel in CHANNELS
    _heard.append(Heard(channel, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")))


def take_heard() -> Iterator[Heard]:
    """Return what was heard since the last time."""
    while _heard:
        yield _heard.popleft()


def _forms(canary: str) -> tuple[bytes, ...]:
    """Return a canary as it is, and what is the same in every Base64 of something it is part of."""
    plain = canary.encode()
    forms = [plain]
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        forms.append(coded[(offset * 8 + 5) // 6 : (offset + len(plain)) * 8 // 6])
    return tuple(forms)


_SECRETS: Final = (*_forms(CANARY_SECRET), *_forms(KEY))
_DOCUMENTS: Final = _forms(CANARY_DOCUMENT)


def find_leak(heard: Heard, may_show_documents: frozenset[str] = frozenset()) -> str | None:
    """Say what should not be in a text; `None` where nothing is.

    Args:
        heard: The text, and where it was said.
        may_show_documents: Channels in which documents belong.
    """
    for form in _SECRETS:
        if form in heard.text:
            return f"a secret is in the {heard.channel}: {_around(heard.text, form)}"
    if heard.channel == ANSWERS or heard.channel in may_show_documents:
        return None
    for form in _DOCUMENTS:
        if form in heard.text:
            return f"a document is in the {heard.channel}: {_around(heard.text, form)}"
    return None


def _around(text: bytes, form: bytes) -> str:
    at = text.index(form)
    return repr(text[max(at - 100, 0) : at + len(form) + 100].decode("utf-8", "replace"))
