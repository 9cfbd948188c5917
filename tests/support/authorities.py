"""One authority in place of the machine's, for the process of the tests and those it starts.

OpenSSL reads all authorities for each context that a client makes: 50 ms for the machine's some 150, in thousands of
tests. No test talks to the world; what fetches a test's programs from there runs in `MACHINE`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import certifi
import pytest
import trustme

MACHINE: Final[Mapping[str, str]] = dict(os.environ)
"""The variables that the tests were started with."""


def trust_one_authority(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have contexts of clients trust an authority that signed nothing; httpx has a file of its own beside OpenSSL's."""
    file = folder / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    patch.setenv("SSL_CERT_FILE", str(file))
    patch.setenv("SSL_CERT_DIR", str(folder / "none"))
    patch.setattr(certifi, "where", lambda: str(file))
