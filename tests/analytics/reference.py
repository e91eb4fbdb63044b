"""The rules of candles in plain Python, one tick at a time: the oracle of the compiled pass.

Times are whole microseconds since the epoch, clocks since midnight in India.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

import polars as pl

from kitepolars.calendar import DAY, EARLIEST_TIME, SECOND, Market, market_of_token
from kitepolars.calendar import IST_OFFSET as IST
from kitepolars.frames.times import MAX_AHEAD

FRESH = 60 * SECOND  # a trade is as good as now
CLOSING = 600 * SECOND  # after the close nothing is traded for so long


@dataclass
class Bar:
    """One bar as it grows."""

    start: int
    end: int
    open: float
    opened_at: int
    closed_at: int
    high: float = -inf
    low: float = inf
    close: float = 0.0
    volume: int = 0
    ticks: int = 0
    oi: int | None = None


@dataclass
class Instrument:
    """What the ticks of an instrument leave behind."""

    market: Market
    newest: float = -inf  # the latest time that bars are cut on
    reached: float = -inf  # the latest time of any kind
    day: float = -inf  # of the count, and of the official prices
    base: int = 0  # the count so far
    base_of: str = "nothing"  # "nothing", "day before", "snapshot", "packet"
    dip: int | None = None  # a smaller count that came
    rising: bool = False  # the count is known to be today's
    pending: int = 0  # volume that no bar has yet
    price: float | None = None
    official: tuple[float, float, float, int] | None = None  # open, high, low, since when
    official_day: float = -inf
    bars: list[Bar] = field(default_factory=list)


def clock_of(time: dt.time | None) -> int:
    return 0 if time is None else (time.hour * 60 + time.minute) * 60 * SECOND


def close_of(market: Market, day: int) -> int:
    return clock_of(market.closes_on(dt.date(1970, 1, 1) + dt.timedelta(day)))


def reference(
    ticks: pl.DataFrame, interval: int, on: str = "exchange_timestamp"
) -> dict[tuple[int, int], Bar]:
    """Return the bars by instrument and start."""
    instruments: dict[int, Instrument] = {}
    for tick in rows(ticks, on):
        token = tick["instrument_token"]
        if token not in instruments:
            instruments[token] = Instrument(market_of_token(token, tick.get("symbol")))
        take(instruments[token], tick, interval)
    return {(token, bar.start): bar for token, one in instruments.items() for bar in one.bars}


def rows(ticks: pl.DataFrame, on: str) -> Iterator[dict[str, Any]]:
    """Yield ticks with a time: one that cannot be is none, and arrival stands in for it."""
    times = pl.col(pl.Datetime).dt.epoch("us")
    for tick in ticks.with_columns(times).iter_rows(named=True):
        arrived, seen = tick.get("received_at"), tick.get(on)
        if seen is not None and seen < EARLIEST_TIME:
            seen = None
        if on != "received_at" and seen is not None and arrived is not None:
            seen = None if seen > arrived + MAX_AHEAD else seen
        time = arrived if seen is None else seen
        if time is not None and time >= EARLIEST_TIME and tick["last_price"] is not None:
            yield {**tick, "seen": seen, "time": time}


def take(one: Instrument, tick: dict[str, Any], interval: int) -> None:
    """Let one tick change the state of its instrument."""
    day = (tick["time"] + IST) // DAY
    midnight = day * DAY - IST
    traded = has_traded_today(one.market, tick, day)
    late = tick["seen"] is not None and tick["seen"] < one.newest
    one.newest = one.newest if tick["seen"] is None else max(one.newest, tick["seen"])
    reached, one.reached = one.reached, max(one.reached, tick["time"])
    own = 0 if late else own_volume(one, tick, day, traded=traded)
    new_high, new_low, known_at = (
        official_range(one, tick, day) if traded and not late else (-inf, inf, -inf)
    )
    moved = own > 0 if tick.get("volume_traded") is not None else one.price is not None
    moved = moved and (own > 0 or one.price != tick["last_price"])
    one.price = price = tick["last_price"]

    if tick.get("is_snapshot") or not traded or price == 0:
        return
    session = session_of(one, tick, day, reached - midnight, own, moved=moved)
    if session is None:
        return
    moment, close = midnight + session[0], session[1]
    bar = bar_of(one, moment, span(moment, midnight, close, one.market, interval), price, reached)
    if bar is None:
        return
    bar.ticks += 1
    bar.high, bar.low = max(bar.high, price), min(bar.low, price)
    if moment < bar.opened_at:
        bar.open, bar.opened_at = price, moment
    if moment >= bar.closed_at:
        bar.close, bar.closed_at, bar.oi = price, moment, tick.get("oi")
    if late:
        return
    bar.volume, one.pending = bar.volume + one.pending, 0
    if interval == DAY and one.official is not None and one.official_day == day:
        if one.official[0]:
            bar.open, bar.opened_at = one.official[0], midnight
        bar.high, bar.low = max(bar.high, one.official[1]), min(bar.low, one.official[2])
    elif known_at >= bar.start:  # the packet before was in this bar: so was the trade
        bar.high, bar.low = max(bar.high, new_high), min(bar.low, new_low)


def had_session(one: Instrument, day: int) -> bool:
    """Whether there was a session of the calendar: others are observed on days without one."""
    midnight = day * DAY - IST
    close = midnight + close_of(one.market, day)
    return bool(one.bars) and midnight <= one.bars[-1].start and one.bars[-1].end <= close


def is_fresh(tick: dict[str, Any], day: int) -> bool:
    """Whether the packet shows a trade of this minute."""
    trade = tick.get("last_trade_time")
    return trade is not None and (trade + IST) // DAY == day and tick["time"] - trade <= FRESH


def has_traded_today(market: Market, tick: dict[str, Any], day: int) -> bool:
    """Whether the last price is one of today: there is a count, and a last trade of this day."""
    trade = tick.get("last_trade_time")
    early = (tick["time"] + IST) % DAY < clock_of(market.pre_open or market.opens)
    if early and not is_fresh(tick, day):
        return False
    return tick.get("volume_traded") != 0 and (trade is None or (trade + IST) // DAY == day)


def own_volume(one: Instrument, tick: dict[str, Any], day: int, *, traded: bool) -> int:
    """Return what was traded since the packet before, as far as it is known."""
    volume = tick.get("volume_traded")
    if volume is None or day < one.day:
        return 0
    if day > one.day:  # a new day counts from 0, unless nothing is known of the day before
        one.base_of = "nothing" if one.day == -inf else "day before"
        one.day, one.base, one.dip, one.rising, one.pending = day, 0, None, False, 0
    own = 0
    if traded:
        snapshot, todays = bool(tick.get("is_snapshot")), tick.get("last_trade_time") is not None
        own = count(one, volume, snapshot=snapshot, todays=todays)
    elif one.base_of in {"nothing", "day before"}:
        one.base_of = "packet"  # nothing has been traded so far: the day counts from 0
    one.pending += own
    return own


def official_range(one: Instrument, tick: dict[str, Any], day: int) -> tuple[float, float, float]:
    """Return a new high and low of the day, and the time of the packet that had neither."""
    high, low, time = tick.get("high"), tick.get("low"), tick["time"]
    if not (high and low):
        return -inf, inf, -inf
    if one.official is None or one.official_day != day:
        one.official_day, one.official = day, (tick.get("open") or 0.0, high, low, time)
        return -inf, inf, -inf
    opened, day_high, day_low, known_at = one.official
    one.official = (tick.get("open") or opened, max(high, day_high), min(low, day_low), time)
    return (high if high > day_high else -inf), (low if low < day_low else inf), known_at


def session_of(
    one: Instrument, tick: dict[str, Any], day: int, reached: float, own: int, *, moved: bool
) -> tuple[int, int] | None:
    """Return the clock at which a tick counts and the session's close; None: it opens no bar."""
    market, clock = one.market, (tick["time"] + IST) % DAY
    close = close_of(market, day)
    if clock < clock_of(market.opens):
        return None if clock >= clock_of(market.pre_open or market.opens) else (clock, close)
    if clock < close:
        return clock, close
    if clock < close + CLOSING and own > 0 and reached < close:
        return close - 1, close  # the first packet: nothing was traded since the close
    quiet = clock < clock_of(market.settles)
    if had_session(one, day) or (quiet and market.closing_session is not None):
        return None
    if is_fresh(tick, day) or (moved and not quiet):
        return clock, DAY  # trades in a session that is not in the calendar
    return None


def span(moment: int, midnight: int, close: int, market: Market, interval: int) -> tuple[int, int]:
    """Return start and end of the bar of a moment."""
    if interval == DAY:
        return midnight, midnight + close
    opens = clock_of(market.opens)
    start = opens + (moment - midnight - opens) // interval * interval
    return midnight + max(start, 0), midnight + min(start + interval, close)


def bar_of(
    one: Instrument, moment: int, place: tuple[int, int], price: float, reached: float
) -> Bar | None:
    """Return the bar of a tick, perhaps a new one; None where it is over."""
    bar = one.bars[-1] if one.bars else None
    if bar is not None and bar.start <= moment < bar.end:
        return bar if bar.end > reached else None  # finished by the instrument's own clock
    if bar is not None and place[0] <= bar.start:
        return None
    one.bars.append(Bar(*place, price, moment, moment))
    return one.bars[-1]


def count(one: Instrument, volume: int, *, snapshot: bool, todays: bool) -> int:
    """Return what was traded since the packet before."""
    own = 0
    if one.base_of == "nothing" or (snapshot and one.base_of == "day before"):
        one.base_of = "snapshot" if snapshot else "packet"  # a base line
    elif volume >= one.base:
        own = volume - one.base
        one.rising = one.rising or (own > 0 and one.base_of != "day before")
        if not snapshot or own > 0:
            one.base_of = "packet"
    elif not one.rising and (
        one.base_of == "snapshot" or (one.dip is not None and volume >= one.dip)
    ):
        own, one.base_of, one.rising = volume, "packet", True  # the base was yesterday's
        one.official_day = -inf
    else:
        one.dip = volume  # ignored, unless more packets say so
        return 0
    one.rising = one.rising or todays
    one.base, one.dip = volume, None
    return own
