"""The live table: which rows go out when, and what is in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

import kitepolars as kp
from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.frames.schema import SCHEMA
from kitepolars.widgets import LiveTable
from kitepolars.widgets.channel import Update
from kitepolars.widgets.columns import COLUMNS, DEFAULT_COLUMNS, checked_columns, expressions
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.table import POINTS
from kitepolars.widgets.threads import Publisher
from patience import PATIENCE
from widgets.page import INFY, NIFTY, RELIANCE

Show = Callable[..., Any]


class Frozen:
    """A ticker whose ticks stand still until a test changes them."""

    def __init__(self, ticker: kp.Ticker) -> None:
        self.ticks = ticker._held().latest()
        self.subscribed = ticker.subscriptions()
        self.instruments = ticker.instruments

    def _held(self) -> Frozen:
        return self

    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def latest(self) -> pl.DataFrame:
        return self.ticks

    def frame(self) -> pl.DataFrame:
        return self.ticks

    def subscriptions(self) -> pl.DataFrame:
        return self.subscribed

    def trade(self, token: int, price: float) -> None:
        hit = pl.col("instrument_token") == token
        self.ticks = self.ticks.with_columns(
            last_price=pl.when(hit).then(price).otherwise("last_price")
        )


def matrix(table: LiveTable, content: dict[str, Any], buffers: list[bytes]) -> dict[str, Any]:
    """Return column name → values of a message's rows."""
    count = content.get("rows", len(content.get("symbols", ())))
    values = np.frombuffer(buffers[1]).reshape(len(table._names), count)
    return dict(zip(table._names, values, strict=True))


def test_a_snapshot_holds_each_row_with_its_values(ticker: kp.Ticker) -> None:
    frozen: Any = Frozen(ticker)
    table = LiveTable(frozen, columns=["last_price", "bid", "mode"])
    message = table._snapshot(Reading(frozen))
    content, buffers = dict(message.content), [bytes(each) for each in message.buffers]
    assert content["symbols"] == ["NSE:INFY", "NSE:NIFTY 50", "NSE:RELIANCE"] or set(
        content["symbols"]
    ) == {"NSE:INFY", "NSE:NIFTY 50", "NSE:RELIANCE"}
    tokens = np.frombuffer(buffers[0], np.uint32)
    assert tokens.tolist() == frozen.subscribed["instrument_token"].to_list()
    values = matrix(table, content, buffers)
    rows = {row["instrument_token"]: row for row in frozen.ticks.iter_rows(named=True)}
    for place, token in enumerate(tokens.tolist()):
        row = rows[token]
        assert values["last_price"][place] == row["last_price"]
        bid = row["bid_price"]
        assert np.isnan(values["bid"][place]) if bid is None else values["bid"][place] == bid[0]
        assert values["received_at"][place] == row["received_at"].timestamp() * 1000 // 1
        assert values["mode"][place] == 2
    assert len(buffers[2]) == 4 * POINTS * 3


@dataclass
class Shown:
    """A table that was sampled a moment ago, with INFY as the only row on screen."""

    table: LiveTable
    market: Any

    def rows(self, message: Update) -> list[int]:
        """Return the instruments of a message."""
        tokens = self.market.subscribed["instrument_token"].to_list()
        places = np.frombuffer(message.buffers[0], np.int32).tolist()
        return [tokens[place] for place in places]

    def changes(self) -> Update | None:
        return self.table._changes(Reading(self.market))


@pytest.fixture
def shown(ticker: kp.Ticker, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr("kitepolars.widgets.table.SAMPLE_EVERY", 3600.0)
    market: Any = Frozen(ticker)
    shown = Shown(LiveTable(market), market)
    shown.table._sampled_at = float("-inf")
    shown.table._snapshot(Reading(market))
    first = shown.changes()
    assert first is not None
    assert first.content["sample"], "the first is a sample"
    place = market.subscribed["instrument_token"].to_list().index(INFY)
    shown.table._handle("window", {"view": "v", "rows": [place]})
    return shown


def test_between_samples_nothing_goes_out_while_no_row_on_screen_changes(shown: Shown) -> None:
    assert shown.changes() is None
    shown.market.trade(RELIANCE, 1.25)
    assert shown.changes() is None, "not on screen"


def test_a_row_on_screen_goes_out_when_it_changes(shown: Shown) -> None:
    shown.market.trade(RELIANCE, 1.25)
    shown.market.trade(INFY, 2.5)
    message = shown.changes()
    assert message is not None
    assert shown.rows(message) == [INFY]
    buffers = [bytes(each) for each in message.buffers]
    assert matrix(shown.table, dict(message.content), buffers)["last_price"].tolist() == [2.5]


def test_the_next_sample_has_the_rows_that_changed_off_screen(shown: Shown) -> None:
    shown.market.trade(RELIANCE, 1.25)
    shown.market.trade(INFY, 2.5)
    assert shown.changes() is not None
    shown.table._sampled_at = float("-inf")
    message = shown.changes()
    assert message is not None
    assert message.content["sample"]
    assert shown.rows(message) == [RELIANCE]
    place = shown.market.subscribed["instrument_token"].to_list().index(RELIANCE)
    assert shown.table._sparks[place, -1] == 1.25


def test_other_instruments_bring_a_snapshot_and_keep_the_sparklines(ticker: kp.Ticker) -> None:
    frozen: Any = Frozen(ticker)
    table = LiveTable(frozen)
    table._snapshot(Reading(frozen))
    table._sparks[:, -1] = [7, 8, 9]
    tokens = frozen.subscribed["instrument_token"].to_list()
    frozen.subscribed = frozen.subscribed.reverse()[:2]
    message = table._changes(Reading(frozen))
    assert message is not None
    assert message.whole
    assert table._sparks[:, -1].tolist() == [9, 8]
    assert np.frombuffer(message.buffers[0], np.uint32).tolist() == tokens[::-1][:2]


def test_instruments_without_a_tick_are_there_and_empty(ticker: kp.Ticker) -> None:
    frozen: Any = Frozen(ticker)
    table = LiveTable(frozen, ["NSE:SBIN", INFY, "NSE:INFY"])
    message = table._snapshot(Reading(frozen))
    assert message.content["symbols"] == ["NSE:SBIN", "NSE:INFY"]
    values = matrix(table, dict(message.content), [bytes(each) for each in message.buffers])
    assert np.isnan(values["last_price"]).tolist() == [True, False]


def test_a_page_gets_live_rows(ticker: kp.Ticker, publisher: Publisher, show: Show) -> None:
    table = LiveTable(ticker, publisher=publisher)
    page = show(table)
    page.say("ready")
    page.say("window", rows=[0, 1, 2])
    page.wait(lambda message: message.get("rows", 0) > 0)
    page.say("select", token=INFY)
    assert table.selected == INFY


def test_every_column_can_be_computed_from_the_contract(ticker: kp.Ticker) -> None:
    empty = pl.DataFrame(schema=SCHEMA)
    for frame in (empty, ticker._held().latest()):
        values = frame.select(expressions(tuple(COLUMNS)))
        assert values.columns == list(COLUMNS)
        assert set(values.dtypes) == {pl.Float64()}
    infy = ticker._held().latest().filter(pl.col("instrument_token") == INFY)
    row, shown = (
        infy.row(0, named=True),
        infy.select(expressions(tuple(COLUMNS))).row(0, named=True),
    )
    assert shown["spread"] == row["ask_price"][0] - row["bid_price"][0]
    assert shown["change"] == 100 * (row["last_price"] - row["close"]) / row["close"]
    assert set(DEFAULT_COLUMNS) <= set(COLUMNS)


def test_wrong_settings_are_refused(ticker: kp.Ticker) -> None:
    with pytest.raises(ConfigError, match="last_price"):
        checked_columns(["price"])
    with pytest.raises(ConfigError, match="oi more than once"):
        LiveTable(ticker, columns=["oi", "oi"])
    with pytest.raises(ConfigError, match="stale_after"):
        LiveTable(ticker, stale_after=0)
    with pytest.raises(UnknownInstrument, match="NSE:INFY"):
        LiveTable(ticker, ["NSE:INFI"])
    assert NIFTY in ticker.subscriptions()["instrument_token"]


def test_contracts_have_readable_names_beside_their_symbols(ticker: kp.Ticker) -> None:
    option = ticker.instruments.search("nifty 26000 ce", 1)
    table = LiveTable(ticker, [INFY, *option["instrument_token"].to_list()])
    content = table._snapshot(Reading(ticker)).content
    assert content["symbols"] == ["NSE:INFY", option["symbol"].item()]
    day = option["expiry"].item()
    assert content["labels"] == ["INFY", f"NIFTY {day.day} {day:%b} 26000 CE"]


def test_a_column_says_which_mode_carries_it(ticker: kp.Ticker) -> None:
    """Against what the ticks hold in each mode."""
    empty = ticker._held().latest().clear()
    for mode, code in (("ltp", 0), ("quote", 1), ("full", 2)):
        with kp.demo(instruments=[], rate=10) as own:
            own.subscribe(["NFO:NIFTY26DECFUT"], mode=mode)
            assert own.wait(rows=3, timeout=PATIENCE)
            ticks = pl.concat([empty, own._held().latest()])
        values = ticks.select(expressions(tuple(COLUMNS))).row(0, named=True)
        missing = {name for name, value in values.items() if np.isnan(value)}
        assert missing == {name for name, column in COLUMNS.items() if column.needs > code}


def test_columns_are_chosen_and_ordered_in_the_view_and_in_code(
    ticker: kp.Ticker, publisher: Publisher, show: Show
) -> None:
    table = LiveTable(ticker, publisher=publisher)
    assert table.remembers
    page = show(table)
    page.say("ready")
    first, _ = page.wait(lambda each: each["kind"] == "snapshot")
    assert "open" in [name for name, *_ in first["choices"]]

    def shows(*names: str) -> Callable[[dict[str, Any]], bool]:
        return lambda each: (
            [column["key"] for column in each.get("columns", ()) if not column["hidden"]]
            == list(names)
        )

    page.say("columns", columns=["high", "last_price"])
    page.wait(shows("high", "last_price"))
    assert table.columns == ["high", "last_price"]
    page.say("columns", columns=["nosuch"])
    page.wait(lambda each: "columns must be" in (each.get("notice") or ""))
    table.columns = ["open"]
    page.wait(shows("open"))


def test_columns_that_the_code_names_are_not_replaced_by_remembered_ones(
    ticker: kp.Ticker,
) -> None:
    table = LiveTable(ticker, columns=["open"])
    assert (table.columns, table.remembers) == (["open"], False)
