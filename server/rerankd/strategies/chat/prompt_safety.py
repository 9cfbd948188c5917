"""Defences of prompts against texts that give orders to a chat model.

Query and documents are data: `as_data` cuts them, removes characters that nobody sees, breaks role markers and encodes
them as one JSON string, which has no line breaks. They stand between lines that carry a nonce, which their author
cannot know: it follows from all texts of the call, so the same call is asked in the same words by every replica, and
any text that is changed to contain it changes it. `docs/prompt-injection.md` has what each defence is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from rerankd.engine.scoring.passages import fits_in, truncate
from rerankd.engine.scoring.tokens import ESTIMATE, TokenCounter

_NONCE_BYTES: Final = 8
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad"  # controls, soft hyphen
    "\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction marks, zero width
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"  # tags and selectors, with which text is smuggled
)
"""Removed. Kept are line feeds, tabs and the joiners with which Persian and emoji are spelt."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MARKER: Final = re.compile(
    r"<(?=[|\uff5c])"  # <|im_start|>, <|eot_id|>
    r"|(?<=[|\uff5c])(?=>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|system|user|human|assistant|model|tool|tool_call|tool_response|think|thinking"
    r"|instructions?|start_of_turn|end_of_turn|start_header_id|end_header_id|documents?[\w-]*|query[\w-]*)>)"
    r"|<(?=<\s?/?sys\s?>>)"
    r"|\[(?=\s?/?(?:inst|system_prompt|available_tools|tool_calls|tool_results)\s?\])",
    re.IGNORECASE,
)
"""The position at which a marker of chat templates, or one of our own, is broken by a space."""


def neutralise(text: str) -> str:
    """Remove invisible characters and break role markers, so that `<|im_start|>` is read as `< |im_start| >`.

    Line breaks, tabs and what scripts and emoji are spelt with are kept, and so is everything that is visible.
    """
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    return _MARKER.sub(lambda found: f"{found[0]} ", _INVISIBLE.sub("", text))


def as_data(text: str, max_tokens: int | None = None, counter: TokenCounter = ESTIMATE) -> str:
    """Return a text as a JSON string in one line, cut and neutralised.

    Args:
        text: Any text.
        max_tokens: Tokens that are kept of its start, at least 1; `None` for all.
        counter: Counts them.
    """
    if max_tokens is not None and not fits_in(text, max_tokens, counter):
        text = truncate(text, max_tokens, counter)
    return msgspec.json.encode(neutralise(text)).decode()


def digest_of(texts: Iterable[str], purpose: str) -> bytes:
    """Return 32 bytes that follow from all texts, for nonces and for the seed of what is dealt at random.

    Args:
        texts: All that a prompt is made of, in order.
        purpose: Keeps the digests of different uses apart.
    """
    hashed = blake2b(digest_size=32, person=purpose.encode()[:16])
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.digest()


def nonce_of(digest: bytes) -> str:
    """Return the hexadecimal nonce of a digest, for the lines around data."""
    return digest[:_NONCE_BYTES].hex()
