"""The selection: which views of one instrument follow a click."""

from __future__ import annotations

import kitepolars as kp
from kitepolars.widgets import Chart, Ladder, LiveTable, OptionChain
from widgets.page import INFY, RELIANCE


def test_a_click_is_shown_by_the_chart_and_the_ladder_made_last(ticker: kp.Ticker) -> None:
    table = LiveTable(ticker)
    older, chart = (Chart(ticker, "NSE:NIFTY 50") for _ in range(2))
    ladder = Ladder(ticker, "NSE:NIFTY 50")
    table._handle("select", {"token": INFY})
    assert table.selected == chart.instrument_token == ladder.instrument_token == INFY
    assert older.instrument == "NSE:NIFTY 50"
    ladder.follows = False
    table._handle("select", {"token": RELIANCE})
    assert (chart.instrument_token, ladder.instrument_token) == (RELIANCE, INFY)
    for view in (table, older, chart, ladder):
        view.close()


def test_a_click_in_a_chain_is_shown_too_and_a_closed_view_follows_no_more(
    ticker: kp.Ticker,
) -> None:
    chain = OptionChain(ticker, "NIFTY")
    closed = Ladder(ticker, INFY)
    closed.close()
    ladder = Ladder(ticker, INFY)
    token = ticker.instruments.option_chain("NIFTY")["call_token"][0]
    chain._handle("select", {"token": token})
    assert (chain.selected, ladder.instrument_token) == (token, token)
    assert closed.instrument_token == INFY
    for view in (chain, ladder):
        view.close()
