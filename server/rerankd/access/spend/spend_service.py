"""The part of `AccessService` that reports spend."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from rerankd.access.key_settings import utc
from rerankd.access.spend.reports import SpendQuery, SpendRow, dimensions_of, period
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.contract import access_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.store.faults import store_faults

_DEFAULT_PAGE_SIZE: Final = 1000
_MAX_PAGE_SIZE: Final = 10_000


class SpendService:
    """Reports spend to callers who have been admitted. Task-safe.

    Args:
        stored: The sums.
        clock: Returns seconds since 1970.
    """

    def __init__(self, stored: StoredSpend, clock: Callable[[], float] = time.time) -> None:
        self._stored = stored
        self._clock = clock

    async def list_spend(self, request: messages.ListSpendRequest, _call: CallContext) -> messages.ListSpendResponse:
        """Report one page of sums.

        Raises:
            ServiceError: `INVALID_REQUEST`, `STORE_UNAVAILABLE`.
        """
        size = _DEFAULT_PAGE_SIZE if request.page_size is None else request.page_size
        query = self._query_of(request, size)
        after = _names_of(request.page_token, len(query.by))
        with store_faults():
            table = await self._stored.table_if_present()
            rows = [] if table is None else await table.report(query, after, size + 1)
        token = _token_of(rows[size - 1].names) if len(rows) > size else ""
        return messages.ListSpendResponse(
            spend=[_message_of(row, query.by) for row in rows[:size]], next_page_token=token
        )

    def _query_of(self, request: messages.ListSpendRequest, size: int) -> SpendQuery:
        violations = []
        by: Sequence[str] = ()
        days = ("", "")
        try:
            by = dimensions_of(request.by)
        except ValueError as error:
            violations.append(FieldViolation("by", f"by: {error}"))
        try:
            days = period(request.first_day, request.last_day, utc(self._clock()).date())
        except ValueError as error:
            violations.append(FieldViolation("first_day", f"first_day, last_day: {error}"))
        if not 1 <= size <= _MAX_PAGE_SIZE:
            violations.append(FieldViolation("page_size", f"page_size must be 1 to {_MAX_PAGE_SIZE}, was {size}"))
        if violations:
            raise invalid_request(violations)
        return SpendQuery(
            by=tuple(by),
            first_day=days[0],
            last_day=days[1],
            key_id=request.key_id,
            group=request.group,
            user=request.user,
            model=request.model,
        )


def _message_of(row: SpendRow, by: Sequence[str]) -> messages.Spend:
    return messages.Spend(
        **dict(zip(by, row.names, strict=True)),
        calls=row.calls,
        documents=row.documents,
        tokens=row.tokens,
        search_units=row.search_units,
        cost_usd=row.cost_usd,
        unpriced_calls=row.unpriced_calls,
    )


def _token_of(names: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(names)).decode("ascii")


def _names_of(token: str, count: int) -> Sequence[str]:
    """Return the names after which a page begins; none for the first page."""
    if not token:
        return ()
    try:
        names = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[str, ...])
    except ValueError:
        names = ()
    if not names or len(names) != count:
        rule = "page_token must be the next_page_token of an answer to the same question"
        raise invalid_request([FieldViolation("page_token", rule)])
    return names
