"""A token that was verified. Imports no library for tokens."""

from __future__ import annotations

from typing import NamedTuple

from rerankd.access.grant import Grant
from rerankd.access.tokens.settings import TokenIssuer


class VerifiedToken(NamedTuple):
    """What a verified token grants."""

    grant: Grant
    issuer: TokenIssuer
    ends_at: float
    """When it ends, in seconds since 1970; the leeway is included."""
