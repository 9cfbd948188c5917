"""AWS Signature Version 4 with botocore's default credential chain."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from rerankd.providers.optional_library import require
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest

_REGION = re.compile(r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-\d)(?:\.|$)")


class SigV4:
    """Signs requests. Credentials are looked up and refreshed in a thread, off the event loop.

    Args:
        service: Signing name, such as `bedrock`.
        region: Region of requests that name none; empty: the one in the request's host name.
        profile_region: Region of the AWS profile, used when the host name contains none.
    """

    def __init__(self, service: str, region: str = "", profile_region: str = "") -> None:
        self._service = service
        self._region = region
        self._profile_region = profile_region
        self._credentials: Any = None
        self._finding = asyncio.Lock()

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """See `Authenticator`."""
        auth = require("botocore.auth", "aws")
        awsrequest = require("botocore.awsrequest", "aws")
        frozen = await self._frozen()
        region = request.region or self._region or region_of(request.url, self._profile_region)
        signed = awsrequest.AWSRequest(
            method=request.method, url=request.url, data=request.body, headers=dict(request.headers)
        )
        auth.SigV4Auth(frozen, self._service, region).add_auth(signed)
        headers = {name.lower(): str(value) for name, value in signed.headers.items()}
        return structs.replace(request, headers=headers)

    async def _frozen(self) -> Any:
        if self._credentials is None or _needs_refresh(self._credentials):
            async with self._finding:
                return await asyncio.to_thread(self._find)
        return self._credentials.get_frozen_credentials()

    def _find(self) -> Any:
        session = require("botocore.session", "aws")
        errors = require("botocore.exceptions", "aws")
        try:
            if self._credentials is None:
                self._credentials = session.get_session().get_credentials()
            frozen = self._credentials and self._credentials.get_frozen_credentials()
        except errors.BotoCoreError as error:
            message = f"no AWS credentials: {type(error).__name__}"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message) from None
        if frozen is None or not frozen.access_key:
            message = "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
        return frozen


def _needs_refresh(credentials: Any) -> bool:
    ask = getattr(credentials, "refresh_needed", None)
    return bool(ask and ask())


def region_of(url: str, otherwise: str = "") -> str:
    """Return the region in a host name such as `bedrock-agent-runtime.us-west-2.amazonaws.com`, else `otherwise`.

    Raises:
        AdapterError: `CREDENTIALS` when both are missing.
    """
    found = _REGION.search(urlsplit(url).hostname or "")
    region = found[1] if found else otherwise
    if not region:
        message = "the AWS region is unknown; set the option region"
        raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
    return region


def profile_region() -> str:
    """Return the region of the active AWS profile; empty without one or without botocore."""
    try:
        session = require("botocore.session", "aws")
        errors = require("botocore.exceptions", "aws")
    except AdapterError:
        return ""
    try:
        return str(session.get_session().get_config_variable("region") or "")
    except errors.BotoCoreError:
        return ""
