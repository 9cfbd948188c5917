"""The text of an API key: `rerankd_`, 40 random letters and digits, 6 of a checksum.

The prefix and the checksum let secret scanners tell a key from any other text. Only the SHA-256 of a key is kept. A
slow hash, as passwords need, would add nothing: 238 random bits cannot be guessed, and 50 ms of CPU for every wrong
key would let anybody stop the service.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

PREFIX: Final = "rerankd_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS: Final = 40
_CHECKSUM_CHARS: Final = 6
_HINT_CHARS: Final = 4
_OURS: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_CHARS + _CHECKSUM_CHARS}}}")
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
MIN_FOREIGN_CHARS: Final = 24
"""Shortest key of another form than ours that is taken."""
MAX_CHARS: Final = 512
"""Longest key."""
_MIN_DISTINCT: Final = 12
_PLACEHOLDERS: Final = (
    "changeme",
    "change-me",
    "change_me",
    "example",
    "password",
    "secret",
    "your-",
    "your_",
    "1234567",
)


def new_secret() -> str:
    """Make a key from the system's random source."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
    return PREFIX + body + _checksum(body)


def has_our_form(secret: str) -> bool:
    """Tell whether a text is a key of our form with a right checksum."""
    if _OURS.fullmatch(secret) is None:
        return False
    body = secret[len(PREFIX) : -_CHECKSUM_CHARS]
    return secret.endswith(_checksum(body))


def digest_of(secret: str) -> str:
    """Return what is kept of a key: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def parse_digest(text: str) -> str | None:
    """Read a hash as settings and imports have it: 64 hexadecimal digits, `sha256:` before them or not."""
    found = _DIGEST.fullmatch(text.strip().lower())
    return found[1] if found else None


def hint_of(secret: str) -> str:
    """Return what people may see of a key: its last characters of the random part."""
    shown = secret[:-_CHECKSUM_CHARS] if has_our_form(secret) else secret
    return "..." + shown[-_HINT_CHARS:]


def weakness(secret: str) -> str | None:
    """Say why a key is too easy to guess, or cannot be sent in a header; None if it is strong."""
    if has_our_form(secret):
        return None
    if secret.startswith(PREFIX):
        return "its checksum is wrong: it was cut or mistyped"
    if not secret.isascii() or not secret.isprintable() or any(char.isspace() for char in secret):
        return "it must be printable ASCII without spaces"
    if not MIN_FOREIGN_CHARS <= len(secret) <= MAX_CHARS:
        return f"it must have {MIN_FOREIGN_CHARS} to {MAX_CHARS} characters, has {len(secret)}"
    if len(set(secret)) < _MIN_DISTINCT:
        return f"it repeats few characters; at least {_MIN_DISTINCT} different ones are needed"
    if any(word in secret.lower() for word in _PLACEHOLDERS):
        return "it looks like a placeholder"
    return None


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
