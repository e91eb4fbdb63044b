"""What a search shows."""

from __future__ import annotations

import datetime as dt

from kitepolars.widgets.search import describe


def test_an_instrument_is_described() -> None:
    row = {"name": "NIFTY", "expiry": dt.date(2026, 11, 5), "lot_size": 75}
    assert describe(row) == "expires 5 Nov 2026 · lot 75"
    assert describe({"name": None, "expiry": None, "lot_size": 1}) == ""
