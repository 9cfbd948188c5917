"""Questions about spend, and their answers as CSV."""

from __future__ import annotations

from datetime import date

import pytest

from rerankd.access.spend.reports import SpendRow, csv_of, dimensions_of, period, values_of

TODAY = date(2026, 11, 29)


def test_a_report_is_for_this_month_unless_it_says_otherwise() -> None:
    assert period("", "", TODAY) == ("2026-11-01", "2026-11-29")
    assert period("2025-01-31", "", TODAY) == ("2025-01-31", "2026-11-29")
    assert period("", "2026-11-02", TODAY) == ("2026-11-01", "2026-11-02")


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        ("yesterday", "", "'yesterday' is no day; write it as 2026-11-29"),
        ("", "2026-13-01", "'2026-13-01' is no day"),
        ("", "2026-10-31", "the last day, 2026-10-31, is before the first, 2026-11-01"),
    ],
)
def test_days_that_cannot_be_read_are_named(first: str, last: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        period(first, last, TODAY)


def test_what_to_group_by_is_checked() -> None:
    assert dimensions_of(["day", "key", "key_id"]) == ("day", "key_id")
    with pytest.raises(ValueError, match="'week' is nothing to group by; known are day, key, group, user and model"):
        dimensions_of(["week"])


def test_csv_quotes_names_and_has_no_formulas() -> None:
    row = SpendRow(
        names=('a,"b"', "=1+1"), calls=1, documents=2, tokens=3, search_units=4, cost_usd=0.25, unpriced_calls=0
    )
    assert csv_of(("user", "model"), [values_of(row)]).splitlines() == [
        "user,model,calls,documents,tokens,search_units,cost_usd,unpriced_calls",
        '"a,""b""",\'=1+1,1,2,3,4,0.25,0',
    ]
