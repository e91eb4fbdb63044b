"""What the columns of frames mean: unit, meaning, when null. The code has dtypes and order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import polars as pl

import kitepolars as kp
from kitepolars.analytics import DEPTH
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.sim import SimulatedKite
from usage import target


@dataclass(frozen=True)
class Column:
    """What a column says."""

    meaning: str
    unit: str = ""
    null: str = "never"

    @property
    def text(self) -> str:
        """The meaning, and the unit where there is one."""
        return f"{self.meaning} ({self.unit})" if self.unit else self.meaning


@dataclass(frozen=True)
class Frame:
    """A frame that users get, and the names that return it."""

    anchor: str
    title: str
    returned_by: tuple[str, ...]
    text: str
    schema: Callable[[], pl.Schema]
    columns: dict[str, Column] = field(default_factory=dict)
    has_modes: bool = False

    def column(self, name: str) -> Column:
        """Return what a column says; those of ticks mean the same wherever they are."""
        try:
            return self.columns.get(name) or COMMON[name]
        except KeyError:
            raise LookupError(f"{self.title}: the column {name!r} is described nowhere") from None


@cache
def ticker() -> kp.Ticker:
    """Return a ticker that has received nothing: its frames are empty, with all columns."""
    return kp.Ticker("key", "token", instruments=SimulatedKite().instruments_csv())


def _chain() -> pl.Schema:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nothing of it is subscribed
        return ticker().option_chain("NIFTY").schema


SHARES: Final = "for indices"
MODE: Final = "the mode does not carry it"

COMMON: Final = {
    "received_at": Column("when this machine read the message", "IST, µs"),
    "exchange_timestamp": Column(
        "when the exchange sent the packet", "IST, s", MODE + "; an invalid time"
    ),
    "instrument_token": Column("Kite's number of the instrument"),
    "symbol": Column("`EXCHANGE:TRADINGSYMBOL`", "", "the token is not in the ticker's list"),
    "connection": Column("index of the connection"),
    "mode": Column("the packet's mode"),
    "is_snapshot": Column("whether it is Kite's cached value, not a fresh tick"),
    "last_price": Column("price of the last trade; of an index its value", "rupees"),
    "last_traded_quantity": Column("quantity of the last trade", "units", f"{MODE}; {SHARES}"),
    "average_traded_price": Column(
        "volume-weighted price of the day", "rupees", f"{MODE}; {SHARES}"
    ),
    "volume_traded": Column("traded today so far; cumulative", "units", f"{MODE}; {SHARES}"),
    "total_buy_quantity": Column(
        "quantity of all pending buy orders", "units", f"{MODE}; {SHARES}"
    ),
    "total_sell_quantity": Column(
        "quantity of all pending sell orders", "units", f"{MODE}; {SHARES}"
    ),
    "open": Column("the day's open", "rupees", MODE),
    "high": Column("the day's high so far", "rupees", MODE),
    "low": Column("the day's low so far", "rupees", MODE),
    "close": Column("the *previous* day's close", "rupees", MODE),
    "price_change": Column(
        "an index's change against the close", "rupees", f"{MODE}; not an index"
    ),
    "last_trade_time": Column("when it last traded", "IST, s", f"{MODE}; {SHARES}; never traded"),
    "oi": Column("open interest", "units", f"{MODE}; {SHARES}"),
    "oi_day_high": Column("highest open interest of the day", "units", f"{MODE}; {SHARES}"),
    "oi_day_low": Column("lowest open interest of the day", "units", f"{MODE}; {SHARES}"),
    **{
        f"{side}_{what}": Column(
            f"{text} of the five best {side}s, best first", unit, f"{MODE}; {SHARES}"
        )
        for side in ("bid", "ask")
        for what, unit, text in (
            ("price", "rupees", "prices"),
            ("quantity", "units", "quantities"),
            ("orders", "orders", "numbers of orders"),
        )
    },
    "change": Column("last price against the previous close", "%", "in mode ltp"),
    "range_position": Column(
        "position in the day's range: 0 at the low, 1 at the high",
        "0 to 1",
        "in mode ltp; no range yet",
    ),
    "staleness": Column("time since the tick arrived", "µs"),
}
"""The columns of ticks, and what `latest` adds."""

CANDLES: Final = {
    "start": Column("start of the bar", "IST"),
    "open": Column("first price", "rupees"),
    "high": Column("highest price", "rupees"),
    "low": Column("lowest price", "rupees"),
    "close": Column("last price", "rupees"),
    "volume": Column("traded in the bar", "units"),
    "ticks": Column("ticks in it", "", "from `historical`"),
    "oi": Column(
        "open interest at its end",
        "units",
        f"{SHARES}; without full mode; `historical` was not asked for it",
    ),
    "vwap": Column("volume-weighted price", "rupees", "no volume; from `historical`"),
    "is_partial": Column("whether the bar is still forming"),
}

DUMP: Final = {
    "exchange_token": Column("the exchange's number of the instrument"),
    "tradingsymbol": Column("its name on the exchange"),
    "name": Column("the company, or the underlying of a contract", "", "the dump has none"),
    "last_price": Column("as in the dump; 0 except in Kite's own", "rupees"),
    "expiry": Column("day of expiry", "", "not a contract; an invalid date"),
    "strike": Column("of an option; else 0", "rupees"),
    "tick_size": Column("smallest price step", "rupees"),
    "lot_size": Column("units per lot", "units"),
    "instrument_type": Column("`EQ`, `FUT`, `CE`, `PE`"),
    "segment": Column("such as `NSE`, `NFO-OPT`, `INDICES`"),
    "exchange": Column("such as `NSE`, `NFO`, `MCX`"),
    "symbol": Column("`EXCHANGE:TRADINGSYMBOL`, to join ticks on"),
}


def _of_side(side: str) -> dict[str, Column]:
    """Return the columns of calls or of puts."""
    no_tick, no_answer = "no tick yet", "no usable quote, or no solution"
    return {
        f"{side}_{name}": column
        for name, column in {
            "token": Column(f"the {side}'s token", "", f"no {side} is listed"),
            "symbol": Column(f"the {side}'s name", "", f"no {side} is listed"),
            "last_price": Column("last price", "rupees", no_tick),
            "bid": Column("best bid", "rupees", f"{no_tick}; no bid"),
            "ask": Column("best ask", "rupees", f"{no_tick}; no offer"),
            "volume": Column("traded today", "units", no_tick),
            "oi": Column("open interest", "units", no_tick),
            "iv": Column("annualised implied volatility", "fraction", no_answer),
            "delta": Column("price per change of the forward", "rupees per rupee", no_answer),
            "gamma": Column("delta per change of the forward", "per rupee", no_answer),
            "theta": Column("price per calendar day", "rupees a day", no_answer),
            "vega": Column("price per point of volatility", "rupees a point", no_answer),
        }.items()
    }


CHAIN: Final = {
    "underlying": Column("such as `NIFTY`"),
    "expiry": Column("day of expiry"),
    "strike": Column("strike", "rupees"),
    "lot_size": Column("units per lot", "units"),
    "forward": Column(
        "forward price of the underlying at expiry",
        "rupees",
        "no pair at the money is quoted on both sides",
    ),
    "years": Column("time until the contracts stop trading", "years"),
    **_of_side("call"),
    **_of_side("put"),
}

ORDERS: Final = {
    "received_at": Column("when the update first arrived", "IST, µs"),
    "order_timestamp": Column("when the order was placed", "IST", "absent or invalid"),
    "exchange_update_timestamp": Column(
        "when the exchange last changed it", "IST", "absent or invalid"
    ),
    "exchange_timestamp": Column("when the exchange accepted it", "IST", "absent or invalid"),
    "instrument_token": Column("Kite's number of the instrument", "", "absent"),
    "other": Column("fields without a column, as JSON", "", "there are none"),
    **{
        name: Column(text, "", "absent")
        for name, text in {
            "order_id": "Kite's number of the order",
            "exchange_order_id": "the exchange's number",
            "parent_order_id": "the order that it belongs to",
            "account_id": "the client's account",
            "placed_by": "who placed it",
            "status": "such as `OPEN`, `COMPLETE`, `REJECTED`",
            "status_message": "reason for the status",
            "exchange": "such as `NSE`",
            "tradingsymbol": "name on the exchange",
            "variety": "such as `regular`, `amo`",
            "order_type": "such as `MARKET`, `LIMIT`",
            "transaction_type": "`BUY` or `SELL`",
            "validity": "such as `DAY`, `IOC`",
            "product": "such as `CNC`, `MIS`",
            "tag": "as given when it was placed",
            "guid": "id of this update",
        }.items()
    },
    **{
        name: Column(text, "units", "absent")
        for name, text in {
            "quantity": "ordered",
            "disclosed_quantity": "shown to the market",
            "filled_quantity": "filled",
            "pending_quantity": "still open",
            "cancelled_quantity": "cancelled",
            "unfilled_quantity": "not filled",
        }.items()
    },
    "price": Column("limit price", "rupees", "absent"),
    "trigger_price": Column("trigger price", "rupees", "absent"),
    "average_price": Column("average of the fills", "rupees", "absent"),
    "market_protection": Column("protection of a market order", "%", "absent"),
}

FRAMES: Final = (
    Frame(
        "schema-frame",
        "Ticks: `frame()`, `lazy()`, `stream()`, `on_batch`",
        ("Ticker.frame", "Ticker.lazy", "Ticker.stream", "Ticker.on_batch", "read_journal"),
        "One row per tick, in order of arrival; `kitepolars.frames.schema.SCHEMA` in code.",
        lambda: ticker().frame().schema,
        has_modes=True,
    ),
    Frame(
        "schema-scan",
        "Ticks of a table: `kp.scan()`",
        ("scan", "Ticker.scan"),
        "The columns of ticks, and where each is in which recording.",
        lambda: TABLE_SCHEMA,
        {
            "recorder": Column("whose recording it is in: the `recorder.id` in its folder"),
            "sequence": Column("the number of its record in that recording"),
        },
    ),
    Frame(
        "schema-latest",
        "`latest()`",
        ("Ticker.latest", "latest", "df.kite.latest"),
        "The last tick of each instrument: the columns of ticks and three more.",
        lambda: ticker().latest().schema,
    ),
    Frame(
        "schema-volume-profile",
        "`volume_profile()`",
        ("indicators.volume_profile", "df.kite.volume_profile"),
        "The levels of each instrument, lowest first; `kp.indicators.VOLUME_PROFILE` in code.",
        lambda: kp.indicators.VOLUME_PROFILE,
        {
            "low": Column("the lower edge of the level", "rupees"),
            "high": Column("the upper edge of the level", "rupees"),
            "volume": Column("what was traded in it", "units"),
            "share": Column("its part of the instrument's volume", "0 to 1"),
            "is_point_of_control": Column("whether it is the level with most volume"),
            "in_value_area": Column("whether it belongs to the value area"),
        },
    ),
    Frame(
        "schema-candles",
        "Candles: `candles()`, `historical()`, `CandleBuilder.frame()`",
        (
            "Ticker.candles",
            "IncrementalIndicators.add_to",
            "candles",
            "df.kite.candles",
            "historical",
            "CandleBuilder.frame",
            "CANDLES",
        ),
        "One row per bar and instrument; `kp.CANDLES` in code.",
        lambda: ticker().candles("1m").schema,
        CANDLES,
    ),
    Frame(
        "schema-depth",
        "`depth()`",
        ("Ticker.depth", "depth", "df.kite.depth"),
        "The order book: five bids, five asks, best first.",
        lambda: DEPTH,
        {
            "side": Column("bid or ask"),
            "level": Column("1 is the best"),
            "price": Column("price", "rupees", "the level is empty"),
            "quantity": Column("quantity; 0 if the level is empty", "units"),
            "orders": Column("number of orders", "orders"),
        },
    ),
    Frame(
        "schema-movers",
        "`movers()`",
        ("Ticker.movers", "movers", "df.kite.movers"),
        "The largest gains, then the largest losses.",
        lambda: ticker().movers().schema,
        {
            "mover": Column("gain or loss"),
            "rank": Column("1 is the strongest"),
            "change": Column("last price against the previous close", "%"),
        },
    ),
    Frame(
        "schema-option-chain",
        "`Ticker.option_chain()`, `options.join_chain()`",
        ("Ticker.option_chain", "options.join_chain"),
        "One row per strike: calls on the left, puts on the right.",
        _chain,
        CHAIN,
    ),
    Frame(
        "schema-instruments",
        "`Instruments.frame`, `search()`, `futures()`",
        ("Instruments.frame", "Instruments.search", "Instruments.futures", "Instruments.options"),
        "One row per instrument. All but `frame` have `symbol` first; `options` adds `underlying`.",
        lambda: ticker().instruments.frame.schema,
        DUMP,
    ),
    Frame(
        "schema-listed-chain",
        "`Instruments.option_chain()`",
        ("Instruments.option_chain",),
        "The contracts of one expiry, one row per strike.",
        lambda: ticker().instruments.option_chain("NIFTY").schema,
        CHAIN,
    ),
    Frame(
        "schema-rejected",
        "`Instruments.rejected`",
        ("Instruments.rejected",),
        "Rows of a dump that were skipped.",
        lambda: ticker().instruments.rejected.schema,
        {
            "line": Column("line of the file; the header is 1"),
            "reason": Column("reason"),
            "content": Column("the line, cut to a bounded length"),
        },
    ),
    Frame(
        "schema-subscriptions",
        "`subscriptions()`",
        ("Ticker.subscriptions",),
        "One row per subscribed instrument.",
        lambda: ticker().subscriptions().schema,
        {
            "mode": Column("the requested mode"),
            "connection": Column("index of its connection", "", "not assigned yet"),
        },
    ),
    Frame(
        "schema-connections",
        "`connections()`",
        ("Ticker.connections",),
        "One row per connection in use.",
        lambda: ticker().connections().schema,
        {
            "account": Column("name of the account"),
            "state": Column("`idle`, `connecting`, `open`, `waiting`, `expired`, `failed`"),
            "instruments": Column("number assigned"),
            "capacity": Column("number it can hold"),
            "messages": Column("binary messages received, heartbeats excluded"),
            "bytes": Column("of those messages", "bytes"),
            "last_message_at": Column("when anything last arrived", "IST, µs", "nothing has"),
            "reconnects": Column("times reopened after a loss"),
            "since": Column("start of the state", "IST, µs"),
        },
    ),
    Frame(
        "schema-orders",
        "`orders()`",
        ("Ticker.orders",),
        "One row per distinct update, or per order with `latest=True`.",
        lambda: ticker().orders().schema,
        ORDERS,
    ),
    Frame(
        "schema-gaps",
        "`gaps()`",
        ("Ticker.gaps",),
        "One row per gap in the data.",
        lambda: ticker().gaps().schema,
        {
            "account": Column("name of the account"),
            "started_at": Column("time of the last message before the loss", "IST, µs"),
            "ended_at": Column(
                "time of the first packet of its instruments after it", "IST, µs", "still open"
            ),
            "reason": Column("reason"),
            "instruments": Column("number affected; 0 if only order updates may be missing"),
            "waiting": Column("number still without a packet"),
        },
    ),
    Frame(
        "schema-alerts",
        "`alerts()`",
        ("Ticker.alerts", "alerts"),
        "A row for each time that an alert fired; `kp.ALERTS` in code.",
        lambda: ticker().alerts().schema,
        {
            "fired_at": Column("arrival of the tick, or end of the candle", "IST, µs"),
            "name": Column("name of the alert"),
            "instrument_token": Column(
                "Kite's number of the instrument", "", "for an option chain"
            ),
            "symbol": Column(
                "`EXCHANGE:TRADINGSYMBOL`; of a chain underlying and strike", "", "unknown"
            ),
            "price": Column(
                "last price; of a candle its close, of a chain the forward", "rupees", "unknown"
            ),
        },
    ),
    Frame(
        "schema-events",
        "`events()`",
        ("Ticker.events",),
        "What happened besides ticks; see [the kinds](errors.md).",
        lambda: ticker().events().schema,
        {
            "at": Column("when", "IST, µs"),
            "connection": Column("index of the connection", "", "not about one connection"),
            "kind": Column("kind, to filter by"),
            "detail": Column("what happened, printable and bounded"),
        },
    ),
)
"""Every frame that users get."""


@cache
def returned() -> dict[str, Frame]:
    """Return full name → the frame that it returns."""
    return {target(name): frame for frame in FRAMES for name in frame.returned_by}
