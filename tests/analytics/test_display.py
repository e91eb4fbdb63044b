"""Frames for the eye: which columns, and how their values are written."""

from __future__ import annotations

import datetime as dt
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.analytics import show
from kitepolars.analytics.display import _grouped
from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from patience import PATIENCE

NOW = dt.datetime(2026, 11, 27, 15, 29, 3, 250_000, tzinfo=IST)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pl.Series("volume", [123456789]), "12,34,56,789"),
        (pl.Series("close", [1580.5]), "1,580.50"),
        (pl.Series("close", [83.5025]), "83.5025"),
        (pl.Series("close", [float("nan")]), "–"),
        (pl.Series("close", [None], dtype=pl.Float64), "–"),
        (pl.Series("change", [1.514]), "+1.51%"),
        (pl.Series("change", [-0.2]), "-0.20%"),
        (pl.Series("call_iv", [0.1234]), "12.3%"),
        (pl.Series("range_position", [0.96]), "96%"),
        (pl.Series("put_gamma", [0.00123]), "0.00123"),
        (pl.Series("start", [NOW]), "15:29:03"),
        (pl.Series("expiry", [NOW.date()]), "27 Nov 2026"),
        (pl.Series("staleness", [dt.timedelta(milliseconds=1250)]), "1.2 s"),
        (pl.Series("mode", ["full"]), "full"),
        (pl.Series("instrument_token", [408065]), "408065"),
    ],
)
def test_values_are_written_as_in_india(values: pl.Series, text: str) -> None:
    assert show(values.to_frame()).rows == [[text]]


@given(st.integers(-(10**15), 10**15))
def test_grouping_changes_no_digit(number: int) -> None:
    text = _grouped(number)
    assert int(text.replace(",", "")) == number
    assert re.fullmatch(r"-?\d{1,2}(,\d\d)*,\d{3}|-?\d{1,3}", text)


def test_times_of_several_days_have_their_day() -> None:
    frame = pl.DataFrame({"at": [NOW, NOW + dt.timedelta(days=1)]})
    assert show(frame).rows == [["27 Nov 15:29:03"], ["28 Nov 15:29:03"]]


def test_rows_and_columns_are_bounded_and_checked() -> None:
    frame = pl.DataFrame({"symbol": ["NSE:INFY"] * 1500, "instrument_token": [408065] * 1500})
    shown = show(frame, rows=2)
    assert list(shown.headings) == ["Symbol"]
    assert repr(shown).splitlines() == ["Symbol", "NSE:INFY", "NSE:INFY", "… 1,498 more rows"]
    assert show(frame.lazy(), ["instrument_token"], rows=1).rows == [["408065"]]
    with pytest.raises(ConfigError, match="rows must be 1 or more"):
        show(frame, rows=0)
    with pytest.raises(ConfigError, match="columns must be names from symbol"):
        show(frame, ["price"])


def test_texts_are_escaped() -> None:
    html = show(pl.DataFrame({"<b>": ["<script>"]}))._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html


def test_a_chain_is_shown_around_the_money_with_calls_and_puts_beside_the_strikes() -> None:
    strikes = [float(strike) for strike in range(100, 200, 10)]
    frame = pl.DataFrame({"strike": strikes}).with_columns(
        call_token=1, call_last_price=5.0, put_last_price=6.0, put_oi=7, forward=152.0
    )
    shown = show(frame, rows=3)
    assert list(shown.headings) == ["Last", "Strike", "Last", "OI"]
    assert [row[1] for row in shown.rows] == ["140", "150", "160"]
    assert shown.shaded == {(0, 0), (1, 0), (2, 2), (2, 3)}
    assert shown.hidden_rows == 7


def test_a_ticker_shows_readable_names_and_the_best_prices() -> None:
    with kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=10) as ticker:
        assert ticker.wait(rows=4, timeout=PATIENCE)
        shown = ticker.show("NSE:INFY")
        latest = ticker.latest().filter(symbol="NSE:INFY")
    assert list(shown.headings) == [
        "Name", "Symbol", "Last", "Change", "Bid", "Ask", "Volume", "OI", "Received",
    ]  # fmt: skip
    (row,) = shown.rows
    assert row[:2] == ["INFY", "NSE:INFY"]
    assert float(row[4].replace(",", "")) == pytest.approx(latest["bid_price"].item()[0], abs=100)
