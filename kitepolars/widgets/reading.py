"""What the widgets ask of a ticker: a protocol, and the answers of one refresh. Any thread.

The protocol limits what the widgets depend on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.alerting.conditions import Condition
from kitepolars.alerting.rows import FiredAlerts
from kitepolars.analytics import Hours
from kitepolars.analytics.bars import OlderCandles
from kitepolars.frames.held import Held
from kitepolars.frames.index import is_among
from kitepolars.instruments import Instruments
from kitepolars.options import ListedChain

FIRED_SHOWN: Final = 200
"""Most alerts that fired and are shown: the last ones."""


class ActiveAlert(Protocol):
    """An alert that is set: the part of `kitepolars.Alert` used here."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def condition(self) -> str:
        """Its condition, as text."""
        ...

    @property
    def instruments(self) -> tuple[int, ...] | None:
        """The instruments it is about; None for all."""
        ...

    @property
    def level(self) -> float | None:
        """The price that it is about; None if there is none."""
        ...

    @property
    def fired(self) -> int:
        """How often it fired."""
        ...

    @property
    def last_fired(self) -> dt.datetime | None:
        """When it fired last."""
        ...

    @property
    def snoozed_until(self) -> dt.datetime | None:
        """Until when it does not fire."""
        ...

    @property
    def error(self) -> str | None:
        """Why it is not evaluated any more."""
        ...

    def snooze(self, time: Any) -> None:
        """Do not fire for a number of seconds."""
        ...

    def move(self, level: float) -> None:
        """Choose another price."""
        ...

    def remove(self) -> None:
        """Remove it."""
        ...


class WatchedTicker(Protocol):
    """The part of `kitepolars.Ticker` that the widgets use. Every call is thread-safe."""

    @property
    def is_running(self) -> bool:
        """Whether the ticker is started."""
        ...

    @property
    def hours(self) -> Hours:
        """The hours that have candles."""
        ...

    @property
    def instruments(self) -> Instruments:
        """The instruments known by name."""
        ...

    @property
    def default_mode(self) -> str:
        """The mode of a `subscribe` that names none."""
        ...

    def start(self) -> Any:
        """Connect."""
        ...

    def stop(self) -> Any:
        """Disconnect."""
        ...

    def subscribe(self, instruments: Any, mode: Any = ...) -> Any:
        """Subscribe instruments in a mode."""
        ...

    def unsubscribe(self, instruments: Any) -> Any:
        """Unsubscribe instruments."""
        ...

    def set_mode(self, instruments: Any, mode: Any) -> Any:
        """Change the mode of subscribed instruments."""
        ...

    def frame(self) -> pl.DataFrame:
        """Return every tick held."""
        ...

    def _now(self) -> dt.datetime:
        """Return the source's time."""
        ...

    def _held(self) -> Held:
        """Return the ticks held now."""
        ...

    def _older_candles(self) -> OlderCandles | None:
        """Return what has candles before the ticker's own."""
        ...

    def _listed_chain(
        self, underlying: str, expiry: dt.date | str | None, *, exchange: str | None
    ) -> ListedChain:
        """Return the instruments of an option chain."""
        ...

    def alert(
        self,
        condition: Condition,
        *,
        name: str | None = ...,
        instruments: Any = ...,
        lasting: str | float | dt.timedelta | None = ...,
        cooldown: str | float | dt.timedelta | None = ...,
        once: bool = ...,
    ) -> Any:
        """Watch a condition."""
        ...

    def active_alerts(self) -> tuple[ActiveAlert, ...]:
        """Return the alerts that are set."""
        ...

    def _fired_alerts(self, most: int) -> FiredAlerts:
        """Return the last of what fired."""
        ...

    def subscriptions(self) -> pl.DataFrame:
        """Return one row per subscribed instrument."""
        ...

    def connections(self) -> pl.DataFrame:
        """Return one row per connection."""
        ...

    def events(self) -> pl.DataFrame:
        """Return the events."""
        ...

    def note(self, kind: str, detail: str) -> Any:
        """Add an event."""
        ...

    def gaps(self) -> pl.DataFrame:
        """Return the gaps in the data."""
        ...

    def orders(self, *, latest: bool = ...) -> pl.DataFrame:
        """Return the order updates, or the last one of each order."""
        ...

    def stats(self) -> Any:
        """Return the counters."""
        ...


class Reading:
    """A ticker at one refresh: each question is asked at most once, for all widgets."""

    def __init__(self, ticker: WatchedTicker) -> None:
        self.ticker = ticker

    @cached_property
    def now(self) -> float:
        """The source's time, which is a replay's own, in seconds since the Unix epoch."""
        return self.ticker._now().timestamp()  # noqa: SLF001 - as for `held`

    @cached_property
    def held(self) -> Held:
        """The ticks held."""
        return self.ticker._held()  # noqa: SLF001 - a ticker's own views are its friends

    @cached_property
    def latest(self) -> pl.DataFrame:
        """The last tick of each instrument, with the columns of ``frame()``, in any order."""
        return self.held.latest()

    def latest_of(self, tokens: npt.NDArray[np.uint32]) -> pl.DataFrame:
        """Return the last ticks of some instruments. Fewer are read if no widget needs all."""
        if "latest" not in self.__dict__:
            return self.held.latest(tokens)
        return self.latest.filter(is_among(self.latest["instrument_token"].to_numpy(), tokens))

    @cached_property
    def active_alerts(self) -> tuple[ActiveAlert, ...]:
        """The alerts that are set."""
        return self.ticker.active_alerts()

    @cached_property
    def fired(self) -> FiredAlerts:
        """The last `FIRED_SHOWN` alerts that fired."""
        return self.ticker._fired_alerts(FIRED_SHOWN)  # noqa: SLF001 - as for `held`

    @cached_property
    def subscriptions(self) -> pl.DataFrame:
        """One row per subscribed instrument."""
        return self.ticker.subscriptions()

    @cached_property
    def connections(self) -> pl.DataFrame:
        """One row per connection."""
        return self.ticker.connections()

    @cached_property
    def events(self) -> pl.DataFrame:
        """The events."""
        return self.ticker.events()

    @cached_property
    def gaps(self) -> pl.DataFrame:
        """The gaps in the data."""
        return self.ticker.gaps()

    @cached_property
    def orders(self) -> pl.DataFrame:
        """The order updates."""
        return self.ticker.orders()

    @cached_property
    def last_orders(self) -> pl.DataFrame:
        """The last update of each order."""
        return self.ticker.orders(latest=True)

    @cached_property
    def stats(self) -> Any:
        """The counters."""
        return self.ticker.stats()


def tokens_of(ticker: WatchedTicker, instruments: Iterable[Any] | str | int) -> list[int]:
    """Return the tokens of one or several names or tokens.

    Raises
    ------
    UnknownInstrument
        If a name is unknown.
    """
    several = [instruments] if isinstance(instruments, str | int) else list(instruments)
    return ticker.instruments.tokens(several)


def symbol_of(ticker: WatchedTicker, instrument_token: int) -> str:
    """Return the symbol of a token, or its digits if it has none."""
    return ticker.instruments.symbol(instrument_token) or str(instrument_token)


def labels_of(ticker: WatchedTicker, instrument_tokens: Sequence[int] | pl.Series) -> list[str]:
    """Return the names of tokens as traders read them, or their digits if they have none."""
    digits = pl.Series(instrument_tokens, dtype=pl.UInt32).cast(pl.String)
    labels = ticker.instruments.labels(instrument_tokens)
    return pl.select(pl.coalesce(labels, digits)).to_series().to_list()


def tick_size_of(ticker: WatchedTicker, instrument_token: int) -> float | None:
    """Return the tick size of an instrument in rupees; None if it has none, such as an index."""
    own = pl.col("instrument_token") == instrument_token
    known = ticker.instruments.frame.filter(own, pl.col("tick_size") > 0)["tick_size"].to_list()
    return next(iter(known), None)
