"""Answers that callers may have as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rerankd.access.spend.reports import AMOUNTS, csv_of, dimensions_of
from rerankd.contract import access_messages
from rerankd.gateway.asgi import RawHeaders

CSV: Final = b"text/csv; charset=utf-8; header=present"


def wants_csv(rpc: str, headers: Mapping[str, str]) -> bool:
    """Whether an rpc's answer has this form and the caller asks for it first."""
    return rpc in _FORMS and headers.get("accept", "").strip().lower().startswith("text/csv")


def csv_answer(rpc: str, request: Any, response: Any) -> tuple[bytes, RawHeaders]:
    """Return a body, and the headers that say what of the answer is not in it.

    Args:
        rpc: One for which `wants_csv` may be true.
        request: Of the rpc.
        response: Of the rpc.
    """
    return _FORMS[rpc](request, response)


def _spend(
    request: access_messages.ListSpendRequest, response: access_messages.ListSpendResponse
) -> tuple[bytes, RawHeaders]:
    by = dimensions_of(request.by)
    columns = (*by, *AMOUNTS)
    body = csv_of(by, ([getattr(each, name) for name in columns] for each in response.spend)).encode()
    return body, [(b"x-next-page-token", response.next_page_token.encode("ascii"))] if response.next_page_token else []


_FORMS: Final[Mapping[str, Callable[[Any, Any], tuple[bytes, RawHeaders]]]] = {"ListSpend": _spend}
