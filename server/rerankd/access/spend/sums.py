"""Sums of what ended calls used and cost, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from rerankd.contract.call_context import Caller
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.watches import AttemptWatch

OTHER: Final = "other"
"""Stands for all names beyond the most that are told apart."""
MAX_ROWS: Final = 20_000
"""Most rows that wait to be written; what would be another one is added to that of `OTHER`."""
_MAX_NAME_CHARS: Final = 100
_SECONDS_OF_DAY: Final = 86_400
_DAY_0: Final = date(1970, 1, 1).toordinal()
_FREE: Final = "local"
"""Provider of the embedded models, whose calls cost nothing."""


class SpendKey(NamedTuple):
    """Whose spend a sum is."""

    day: str
    """Day in UTC on which the calls ended, as in `2026-11-29`."""
    key_id: str
    """Id of the API key, else the identity of the caller; empty for a caller without either."""
    group: str
    """Empty for a caller without groups."""
    is_first_group: bool
    """Whether `group` is the caller's first. A caller of several groups has a row for each, and sums over all groups
    must count the first alone."""
    user: str
    """`user` of the request; empty without one."""
    model: str
    """Public name of the model that answered."""


@dataclass(slots=True)
class SpendAmounts:
    """What calls used and cost."""

    calls: int = 0
    documents: int = 0
    tokens: int = 0
    search_units: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    """Calls of which `cost_usd` lacks a part, because nobody knows the price."""

    def add_attempts(self, attempts: Iterable[AttemptWatch]) -> None:
        """Add provider calls: those of models that failed later are billed too, though no answer reports them."""
        for attempt in attempts:
            reply = attempt.reply
            if reply is None:
                continue
            self.tokens += reply.prompt_tokens + reply.completion_tokens
            self.search_units += reply.search_units
            if reply.cost_usd is not None:
                self.cost_usd += reply.cost_usd
            elif attempt.provider != _FREE:
                self.unpriced_calls += 1


Rows = Mapping[SpendKey, SpendAmounts]


class SpendSums:
    """Adds up ended calls. For one thread at a time.

    Args:
        max_names: Most keys, groups, users and models, each, of one day.
        max_rows: Most rows.
    """

    def __init__(self, max_names: int, max_rows: int = MAX_ROWS) -> None:
        self._max_names = max_names
        self._max_rows = max_rows
        self._rows: dict[SpendKey, SpendAmounts] = {}
        self._found: dict[object, Sequence[SpendAmounts]] = {}
        self._day = ""
        self._day_number = -1
        self._names: tuple[dict[str, str], ...] = ({}, {}, {}, {})

    def add_call(self, record: CallRecord, now_s: float) -> None:
        """Add a call that ended; one that failed before it reached a model used nothing.

        Args:
            record: Of the call.
            now_s: Seconds since 1970.
        """
        if record.reason is not None and not record.attempts:
            return
        documents = 0 if record.usage is None else record.usage.documents
        for row in self._rows_of(record, now_s):
            row.calls += 1
            row.documents += documents
            unpriced = row.unpriced_calls
            row.add_attempts(record.attempts)
            row.unpriced_calls = min(row.unpriced_calls, unpriced + 1)

    def add_late(self, attempt: AttemptWatch, record: CallRecord, now_s: float) -> None:
        """Add a provider call that was answered after its rerank call had ended.

        Args:
            attempt: The provider call.
            record: Of the rerank call.
            now_s: Seconds since 1970.
        """
        if attempt.reply is not None:
            for row in self._rows_of(record, now_s):
                row.add_attempts((attempt,))

    def take(self) -> Rows:
        """Return the sums and begin anew."""
        rows, self._rows, self._found = self._rows, {}, {}
        return rows

    def _rows_of(self, record: CallRecord, now_s: float) -> Sequence[SpendAmounts]:
        """Return the rows to add a call to, which are remembered until they are taken."""
        if now_s // _SECONDS_OF_DAY != self._day_number:
            self._begin_day(now_s)
        caller: Caller = record.call.caller
        whose = (caller.key_id or caller.identity, caller.groups, record.user, record.model)
        found = self._found.get(whose)
        if found is None:
            if len(self._found) >= MAX_ROWS:
                self._found.clear()
            found = self._found[whose] = [self._row_of(key) for key in self._keys(record)]
        return found

    def _row_of(self, key: SpendKey) -> SpendAmounts:
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= self._max_rows:
                key = SpendKey(key.day, OTHER, OTHER, key.is_first_group, OTHER, OTHER)
            row = self._rows.setdefault(key, SpendAmounts())
        return row

    def _begin_day(self, now_s: float) -> None:
        number = int(now_s // _SECONDS_OF_DAY)
        self._day, self._day_number = date.fromordinal(_DAY_0 + number).isoformat(), number
        self._names = ({}, {}, {}, {})
        self._found = {}

    def _keys(self, record: CallRecord) -> Iterator[SpendKey]:
        day = self._day
        caller: Caller = record.call.caller
        keys, groups, users, models = self._names
        key_id = self._name(keys, caller.key_id or caller.identity)
        user = self._name(users, record.user)
        model = self._name(models, record.model)
        if not caller.groups:
            yield SpendKey(day, key_id, "", True, user, model)
            return
        for number, group in enumerate(dict.fromkeys(self._name(groups, each) for each in caller.groups)):
            yield SpendKey(day, key_id, group, number == 0, user, model)

    def _name(self, known: dict[str, str], name: str) -> str:
        """Return the name to sum under: `name`, made short if it is long, or `OTHER` if there are too many."""
        if not name:
            return ""
        found = known.get(name)
        if found is None:
            if len(known) >= self._max_names:
                return OTHER
            found = known[name] = _bounded(name)
        return found


def _bounded(name: str) -> str:
    """Return a name that a caller may have chosen, as it is or, if it is long or cannot be printed, by its hash."""
    if len(name) <= _MAX_NAME_CHARS and name.isprintable():
        return name
    return "#" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
