"""Owns the measuring of a running ticker: one immutable `Moment` a refresh. Main thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl

from kitepolars import Stats

WINDOW: Final = 2.0
"""Seconds that a rate is taken over."""

TREND: Final = 24
"""Refreshes that a trend looks back."""


class Measured(Protocol):
    """What the meter reads of a ticker."""

    def stats(self) -> Stats:
        """Return the counters."""
        ...

    def frame(self) -> pl.DataFrame:
        """Return every tick held."""
        ...

    def latest(self) -> pl.DataFrame:
        """Return one row per instrument."""
        ...

    def connections(self) -> pl.DataFrame:
        """Return one row per connection."""
        ...

    def gaps(self) -> pl.DataFrame:
        """Return the holes in the data."""
        ...


@dataclass(frozen=True, kw_only=True)
class ConnectionMoment:
    """One connection as it stands, with its rates per second."""

    index: int
    state: str
    instruments: int
    messages_per_second: float
    ticks_per_second: float


@dataclass(frozen=True, kw_only=True)
class Quote:
    """One instrument of the watch list. Prices in rupees; None where its mode has no such field."""

    symbol: str
    last_price: float
    previous_price: float
    change_percent: float | None
    bid: float | None
    ask: float | None
    volume: int | None
    trend: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Everything that is shown, as it was at one refresh."""

    elapsed: float
    connections: tuple[ConnectionMoment, ...]
    quotes: tuple[Quote, ...]
    stats: Stats
    gaps: int
    rows: int
    held_bytes: int
    ticks_per_second: float
    messages_per_second: float
    ticks_trend: tuple[float, ...]

    @property
    def lost(self) -> int:
        """What was rejected or dropped, and the holes in the data."""
        stats = self.stats
        return stats.rejected_packets + stats.rejected_messages + stats.dropped + self.gaps


@dataclass(frozen=True)
class _Sample:
    """Counters at a time: in all, and of each connection."""

    at: float
    messages: dict[int, int]
    ticks: dict[int, int]


class Meter:
    """Turns a ticker's counters into rates and its latest values into trends.

    Parameters
    ----------
    ticker
        What is measured.
    watched
        The instrument tokens of the watch list, in the order shown.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        ticker: Measured,
        watched: Sequence[int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ticker = ticker
        self._clock = clock
        self._started = clock()
        self._watched = pl.DataFrame({"instrument_token": pl.Series(watched, dtype=pl.UInt32)})
        self._prices: dict[int, deque[float]] = {token: deque(maxlen=TREND) for token in watched}
        self._samples: deque[_Sample] = deque()
        self._rates: deque[float] = deque(maxlen=TREND)
        self._rows = 0
        self._ticks: dict[int, int] = {}

    def read(self) -> Moment:
        """Measure now."""
        frame = self._ticker.frame()
        connections = self._ticker.connections()
        self._count(frame)
        self._sample(connections)
        first, last = self._samples[0], self._samples[-1]
        seconds = max(last.at - first.at, 1e-9)
        ticks = _rates(first.ticks, last.ticks, seconds)
        messages = _rates(first.messages, last.messages, seconds)
        self._rates.append(sum(ticks.values()))
        return Moment(
            elapsed=last.at - self._started,
            connections=tuple(
                ConnectionMoment(
                    index=row["connection"],
                    state=row["state"],
                    instruments=row["instruments"],
                    messages_per_second=messages[row["connection"]],
                    ticks_per_second=ticks.get(row["connection"], 0.0),
                )
                for row in connections.iter_rows(named=True)
            ),
            quotes=self._quotes(),
            stats=self._ticker.stats(),
            gaps=self._ticker.gaps().height,
            rows=frame.height,
            held_bytes=int(frame.estimated_size()),
            ticks_per_second=sum(ticks.values()),
            messages_per_second=sum(messages.values()),
            ticks_trend=tuple(self._rates),
        )

    def _count(self, frame: pl.DataFrame) -> None:
        # Only what is new since the last refresh is looked at, whatever is held.
        new = frame["connection"].slice(self._rows)
        self._rows = frame.height
        for connection, count in new.value_counts().iter_rows():
            self._ticks[connection] = self._ticks.get(connection, 0) + count

    def _sample(self, connections: pl.DataFrame) -> None:
        messages = dict(connections.select("connection", "messages").iter_rows())
        self._samples.append(_Sample(self._clock(), messages, dict(self._ticks)))
        while len(self._samples) > 2 and self._samples[-1].at - self._samples[1].at >= WINDOW:  # noqa: PLR2004
            self._samples.popleft()

    def _quotes(self) -> tuple[Quote, ...]:
        rows = self._watched.join(
            self._ticker.latest(), on="instrument_token", how="inner", maintain_order="left"
        )
        return tuple(self._quote(row) for row in rows.iter_rows(named=True))

    def _quote(self, row: dict[str, Any]) -> Quote:
        prices = self._prices[row["instrument_token"]]
        prices.append(row["last_price"])
        bids, asks = row["bid_price"], row["ask_price"]
        return Quote(
            symbol=row["symbol"] or str(row["instrument_token"]),
            last_price=row["last_price"],
            previous_price=prices[-2] if len(prices) > 1 else row["last_price"],
            change_percent=_change_percent(row["last_price"], row["close"]),
            bid=bids[0] if bids else None,
            ask=asks[0] if asks else None,
            volume=row["volume_traded"],
            trend=tuple(prices),
        )


def _rates(first: dict[int, int], last: dict[int, int], seconds: float) -> dict[int, float]:
    return {key: (count - first.get(key, 0)) / seconds for key, count in last.items()}


def _change_percent(last_price: float, close: float | None) -> float | None:
    return 100 * (last_price - close) / close if close else None
