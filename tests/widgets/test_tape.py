"""Time and sales, and the depth map: rows grow with the ticks, and none comes twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

import kitepolars as kp
from kitepolars.analytics.tape import book_history, time_and_sales
from kitepolars.widgets import DepthMap, TimeAndSales
from kitepolars.widgets.threads import Publisher
from patience import PATIENCE
from widgets.page import INFY, NIFTY, RELIANCE, Page

Show = Callable[..., Page]


def rows_shown(page: Page, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the rows of the last snapshot and of what followed it."""
    start = max(k for k, (each, _) in enumerate(page.received) if each["kind"] == "snapshot")
    parts = [buffers[0] for _, buffers in page.received[start:] if buffers]
    return np.frombuffer(b"".join(parts)).reshape(-1, width)


def rows_after_three_updates(
    page: Page, width: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    page.say("ready")
    page.wait(lambda each: each["kind"] == "snapshot")
    for _ in range(3):
        page.wait(lambda each: each.get("added"), beyond=len(page.received))
    return rows_shown(page, width)


def test_time_and_sales_lists_each_trade_once(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(TimeAndSales(ticker, INFY, publisher=publisher))
    rows = rows_after_three_updates(page, 4)
    own = ticker.frame().filter(pl.col("instrument_token") == INFY)
    expected = time_and_sales(own).head(len(rows))
    np.testing.assert_array_equal(rows[:, 1], expected["price"].to_numpy())
    np.testing.assert_array_equal(rows[:, 2], expected["quantity"].to_numpy())
    np.testing.assert_array_equal(rows[:, 3], expected["side"].to_numpy())
    page.widget.instrument = "NSE:RELIANCE"
    page.wait(lambda each: each.get("symbol") == "NSE:RELIANCE")


def test_the_depth_map_draws_each_book_once(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    page = show(DepthMap(ticker, RELIANCE, publisher=publisher))
    rows = rows_after_three_updates(page, 22)
    own = ticker.frame().filter(pl.col("instrument_token") == RELIANCE)
    books = book_history(own).head(len(rows))
    np.testing.assert_array_equal(rows[:, 1:], books.drop("received_at").to_numpy())


def test_an_index_and_an_unsubscribed_instrument_say_why_nothing_is_shown(
    publisher: Publisher, show: Show
) -> None:
    with kp.demo(instruments=[], rate=10) as own:
        own.subscribe([INFY, NIFTY], mode="quote")
        assert own.wait(rows=4, timeout=PATIENCE)
        page = show(DepthMap(own, INFY, publisher=publisher))
        page.say("ready")
        page.wait(lambda each: "Mode quote carries no" in each.get("advice", ""))
        page.say("full")
        page.wait(lambda each: each.get("advice") == "" and each.get("offer") == "")
        page.widget.instrument = RELIANCE
        page.wait(lambda each: each.get("advice") == "Not subscribed.")
        page.say("gone")
