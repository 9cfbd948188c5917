"""Logins at the page of an OpenID provider: away, and back."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from rerankd.access.sessions.redirect_logins import IssuerAnswer, RedirectLogins
from rerankd.contract.errors import Reason, ServiceError
from rerankd.gateway.session_cookie import cookie_of

_HEADERS: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
"""Addresses of these pages have codes, which no other page is to learn."""


class OidcPages:
    """Endpoints of `/api/session/oidc/{issuer}`.

    Args:
        logins: Logs in; None where the settings do not let it.
        setting: Setting that would.
    """

    def __init__(self, logins: RedirectLogins | None, setting: str) -> None:
        self._logins = logins
        self._setting = setting

    async def begin(self, request: Request) -> Response:
        """Send the browser to the issuer."""
        logins = self._opened()
        location, cookie = await logins.begin(request.path_params["issuer"], request.query_params.get("return_to", ""))
        return Response(status_code=303, headers={**_HEADERS, "location": location, "set-cookie": cookie})

    async def complete(self, request: Request) -> Response:
        """Open the session of a browser that comes back, and send it to the page where it wanted to go."""
        logins = self._opened()
        query = request.query_params
        answer = IssuerAnswer(query.get("state", ""), query.get("code", ""), query.get("error", ""), query.get("iss"))
        session, return_to = await logins.complete(
            request.path_params["issuer"],
            answer,
            cookie_of(request.headers, logins.cookie_name),
            address="" if request.client is None else request.client.host,
            request_id=request.state.request_id,
        )
        response = Response(status_code=303, headers={**_HEADERS, "location": return_to})
        for cookie in (session.set_cookie, logins.clearing_cookie):
            response.headers.append("set-cookie", cookie or "")
        return response

    def _opened(self) -> RedirectLogins:
        if self._logins is None:
            message = f"logins are not available: {self._setting} is false; set it to true"
            raise ServiceError(
                Reason.SERVICE_DISABLED, message, metadata={"service": "sessions", "setting": self._setting}
            )
        return self._logins
