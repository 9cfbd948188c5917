"""The secret that signs cookies: that of the settings, or one in a file that all workers of a machine share."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from rerankd.contract.errors import Reason, ServiceError

FILE_NAME: Final = "session-secret"
_BYTES: Final = 32


class SessionSecret:
    """Keys of one secret, each for one use. Read, or made, when they are needed first.

    Args:
        given: The secret of the settings; empty: that of the file.
        folder: Of the file.
    """

    def __init__(self, given: str, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._secret = given.encode() if given else None

    def exists(self) -> bool:
        """Tell whether there is a secret, so that something can have been signed with it."""
        return self._secret is not None or self._path.exists()

    def key(self, use: str) -> bytes:
        """Return the key for a use, 32 bytes; the file is made where there is none.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` for a file that cannot be made or read, or that others can read.
        """
        if self._secret is None:
            try:
                self._secret = _read(self._path) or _make(self._path)
            except OSError:
                message = f"sessions are not available: {FILE_NAME} in store.state_dir cannot be used"
                raise ServiceError(Reason.ACCESS_UNAVAILABLE, message) from None
        return hmac.digest(self._secret, use.encode(), "sha256")


def _read(path: Path) -> bytes | None:
    """Return the secret of a file; None where there is none.

    Raises:
        OSError: It cannot be read, others can read it, or it is cut.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise PermissionError(f"{path} can be read by others")
            found = file.read().strip()
    except FileNotFoundError:
        return None
    if len(found) < 2 * _BYTES:
        raise OSError(f"{path} is cut")
    return found


def _make(path: Path) -> bytes:
    """Make the file; of several processes that do so at once, one makes the secret of all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(own)
    finally:
        own.unlink()
    return _read(path) or b""
