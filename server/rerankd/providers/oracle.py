"""Request signature of Oracle Cloud Infrastructure: draft-cavage-http-signatures with an RSA key.

Reference: https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm, and `oci.signer` of the OCI SDK
2.189.0.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from rerankd.providers.optional_library import require
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest

SIGNED: Final = ("date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256")


def _now() -> str:
    return formatdate(usegmt=True)


class OciSignature:
    """Signs requests with the API key of a user. The key is loaded with the first request.

    Args:
        key_id: `TENANCY/USER/FINGERPRINT`.
        private_key: RSA key in PEM, without a passphrase.
        key_file: File with the key, where `private_key` is empty.
        now: Clock, as an HTTP date.
    """

    def __init__(self, key_id: str, private_key: str, key_file: str = "", now: Callable[[], str] = _now) -> None:
        self._key_id = key_id
        self._pem = private_key
        self._file = key_file
        self._now = now
        self._key: Any = None

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """See `Authenticator`. Signs in a thread: an RSA signature takes about a millisecond."""
        address = urlsplit(request.url)
        target = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
        values = {
            "date": self._now(),
            "(request-target)": f"{request.method.lower()} {target}",
            "host": address.netloc,
            "content-length": str(len(request.body)),
            "content-type": request.headers.get("content-type", "application/json"),
            "x-content-sha256": base64.b64encode(hashlib.sha256(request.body).digest()).decode(),
        }
        text = "\n".join(f"{name}: {values[name]}" for name in SIGNED)
        signature = base64.b64encode(await asyncio.to_thread(self._sign, text.encode())).decode()
        fields = {
            "algorithm": "rsa-sha256",
            "headers": " ".join(SIGNED),
            "keyId": self._key_id,
            "signature": signature,
            "version": "1",
        }
        authorization = "Signature " + ",".join(f'{name}="{value}"' for name, value in fields.items())
        sent = {name: values[name] for name in ("date", "content-type", "x-content-sha256")}
        return request.with_headers({**sent, "authorization": authorization})

    def _sign(self, text: bytes) -> bytes:
        padding = require("cryptography.hazmat.primitives.asymmetric.padding", "oci")
        hashes = require("cryptography.hazmat.primitives.hashes", "oci")
        if self._key is None:
            self._key = _load(self._pem or _read(self._file))
        signature: bytes = self._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return signature


def _read(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise AdapterError(AdapterErrorKind.CREDENTIALS, "the OCI key_file cannot be read") from None


def _load(pem: str) -> Any:
    serialization = require("cryptography.hazmat.primitives.serialization", "oci")
    rsa = require("cryptography.hazmat.primitives.asymmetric.rsa", "oci")
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "the OCI key is not an RSA private key in PEM without a passphrase"
        raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
    return key
