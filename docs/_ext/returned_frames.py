"""The frames that users get: which names return them, their columns in order, their dtypes.

Dtypes and order come from the code that makes a frame, the meaning of a column from `columns.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import polars as pl

import kitepolars as kp
from columns import CANDLES, CHAIN, COMMON, DUMP, ORDERS, Column
from kitepolars.analytics import DEPTH
from kitepolars.days.parquet import TABLE_SCHEMA
from kitepolars.sim import SimulatedKite
from usage import target


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
