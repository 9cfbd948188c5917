"""Asks a service of the operator's own about query and documents: one request for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from rerankd.access.guardrails.settings import HookGuardrail
from rerankd.contract.call_context import CallContext
from rerankd.http.transport import HttpTransport
from rerankd_adapters.base import AdapterError, HttpRequest

_OK: Final = range(200, 300)


class Verdict(msgspec.Struct, frozen=True):
    """Answer of the service."""

    action: Literal["allow", "block", "modify"]
    reason: str = ""
    """Why it blocks, told to the caller."""
    query: str | None = None
    """New query; `None`: as it was."""
    documents: Mapping[int, str] = {}
    """New texts by position in what was sent; the others stay."""


class HookFailedError(Exception):
    """The service did not answer as it should; the text says how."""


class Hook:
    """One service. For one event loop.

    Args:
        settings: Where it is.
        transport: Sends the requests.
    """

    def __init__(self, settings: HookGuardrail, transport: HttpTransport) -> None:
        self._settings = settings
        self._transport = transport

    async def ask(self, query: str, documents: Sequence[str], model: str, call: CallContext) -> Verdict:
        """Ask about one call.

        Args:
            query: Empty where it is not to be read.
            documents: Texts as they are scored; none where they are not to be read.
            model: Public name of the model.
            call: The call.

        Raises:
            HookFailedError: No verdict came.
        """
        body = {
            "request_id": call.request_id,
            "model": model,
            "caller": {"key_id": call.caller.key_id, "groups": call.caller.groups},
            "query": query,
            "documents": documents,
        }
        headers = {"content-type": "application/json", **self._settings.headers}
        request = HttpRequest(url=self._settings.url, headers=headers, body=msgspec.json.encode(body))
        try:
            response = await self._transport.send(request, self._settings.timeout_ms / 1000)
        except AdapterError as error:
            raise HookFailedError(str(error)) from None
        if response.status not in _OK:
            raise HookFailedError(f"it answers HTTP {response.status}")
        try:
            verdict = msgspec.json.decode(response.body, type=Verdict)
        except (UnicodeDecodeError, RecursionError):
            raise HookFailedError("its answer is no verdict: it is not JSON") from None
        except msgspec.DecodeError as error:
            raise HookFailedError(f"its answer is no verdict: {error}") from None
        if verdict.query is not None and not verdict.query.strip():
            raise HookFailedError("its answer has a blank query")
        if not all(0 <= position < len(documents) for position in verdict.documents):
            raise HookFailedError("its answer names documents that it was not sent")
        return verdict
