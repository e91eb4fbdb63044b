"""The ladder: the book, and why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

import kitepolars as kp
from kitepolars.widgets import Ladder
from kitepolars.widgets.reading import Reading
from widgets.page import INFY, NIFTY, Page

Show = Callable[..., Page]


pytestmark = pytest.mark.usefixtures("any_hour")


def test_a_ladder_shows_the_book_as_it_stands(ticker: kp.Ticker) -> None:
    ladder = Ladder(ticker, "NSE:INFY")
    reading = Reading(ticker)
    message = ladder._snapshot(reading)
    row = reading.latest.filter(pl.col("instrument_token") == INFY).row(0, named=True)
    book = np.frombuffer(bytes(message.buffers[0])).reshape(5, 6)
    assert book[:, 1].tolist() == row["bid_quantity"]
    assert book[:, 2].tolist() == row["bid_price"]
    assert book[:, 3].tolist() == row["ask_price"]
    content = message.content
    assert content["spread"] == pytest.approx(row["ask_price"][0] - row["bid_price"][0])
    bids, asks = sum(row["bid_quantity"]), sum(row["ask_quantity"])
    assert content["imbalance"] == pytest.approx(100 * (bids - asks) / (bids + asks))
    assert ladder._changes(reading) is None


def test_a_ladder_says_why_there_is_no_book(ticker: kp.Ticker) -> None:
    ladder = Ladder(ticker, NIFTY)
    assert "index" in ladder._snapshot(Reading(ticker)).content["advice"]
    ladder.instrument = "NSE:SBIN"
    content = ladder._snapshot(Reading(ticker)).content
    assert content["symbol"] == "NSE:SBIN"
    assert content["advice"] == "Not subscribed."
    assert content["offer"] == "Subscribe in full"
