"""The candles of one instrument, brought up to date from the ticks that are new. UI thread.

A chart keeps its own: of nine thousand instruments it shows one.
"""

from __future__ import annotations

import polars as pl

from kitepolars.analytics import CandleBuilder, Clock
from kitepolars.widgets.surface import Feed


class LiveBars:
    """Candles of one instrument and interval.

    Parameters
    ----------
    feed
        Whose ticks they are made of.
    instrument_token
        The instrument.
    every
        The interval, such as ``"1m"``.
    """

    def __init__(self, feed: Feed, instrument_token: int, every: str) -> None:
        self.instrument_token = instrument_token
        self.every = every
        self._feed = feed
        self.on: Clock = "exchange_timestamp"
        self._restart()

    def _restart(self) -> None:
        self._builder = CandleBuilder(self.every, on=self.on)
        self._next = 0

    def read(self) -> pl.DataFrame:
        """Take in the new ticks, and return all bars with the columns of ``candles()``.

        Ticks without an exchange time (modes ltp and quote) let all bars be cut on arrival.
        """
        held = self._feed._held()  # noqa: SLF001 - a ticker's own views are its friends
        own = pl.col("instrument_token") == self.instrument_token
        ticks = held.since(self._next).filter(own)
        if self.on != "received_at" and ticks["exchange_timestamp"].null_count():
            self.on = "received_at"
            self._restart()
            ticks = held.since(0).filter(own)
        self._builder.update(ticks)
        self._next = held.total
        return self._builder.frame()
