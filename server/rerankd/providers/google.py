"""Google Cloud application-default credentials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from rerankd.providers.access_tokens import AccessToken
from rerankd.providers.optional_library import require
from rerankd_adapters.base import AdapterError, AdapterErrorKind

DEFAULT_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def google_token(scope: str = "") -> Callable[[], Awaitable[AccessToken]]:
    """Return a function that fetches an access token with the application-default credentials, in a thread.

    The function raises `AdapterError` (`CREDENTIALS`) when there are no credentials or they are rejected.

    Args:
        scope: OAuth scope; empty: `DEFAULT_SCOPE`.
    """
    found: list[Any] = []

    def refresh() -> AccessToken:
        auth = require("google.auth", "google")
        requests = require("google.auth.transport.requests", "google")
        errors = require("google.auth.exceptions", "google")
        asked_s = time.monotonic()
        try:
            if not found:
                found.append(auth.default(scopes=[scope or DEFAULT_SCOPE])[0])
            credentials = found[0]
            credentials.refresh(requests.Request())
        except errors.GoogleAuthError as error:
            message = f"no Google credentials: {type(error).__name__}"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message) from None
        return AccessToken(str(credentials.token), asked_s + _lifetime_s(credentials.expiry))

    async def fetch() -> AccessToken:
        return await asyncio.to_thread(refresh)

    return fetch


def default_project() -> str:
    """Return the project of the application-default credentials; empty without one or without google-auth.

    Reads files first and queries the metadata server last; blocks.
    """
    try:
        auth = require("google.auth", "google")
        errors = require("google.auth.exceptions", "google")
    except AdapterError:
        return ""
    try:
        return str(auth.default(scopes=[DEFAULT_SCOPE])[1] or "")
    except errors.GoogleAuthError:
        return ""


def _lifetime_s(expiry: datetime | None) -> float:
    if expiry is None:
        return 3600.0
    # google-auth returns a naive datetime in UTC.
    return (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
