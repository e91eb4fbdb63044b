"""The live option chain, ``ticker.chain()``: each message is all strikes shown. UI thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import traitlets

from kitepolars.errors import ConfigError
from kitepolars.frames.index import is_among
from kitepolars.options import ListedChain
from kitepolars.options.chain import PricedChain, price_chain
from kitepolars.widgets.channel import Update
from kitepolars.widgets.host import asset
from kitepolars.widgets.instrument import select_instrument
from kitepolars.widgets.reading import Reading, WatchedTicker, labels_of
from kitepolars.widgets.threads import TICK, Publisher
from kitepolars.widgets.view import LiveWidget
from kitepolars.wire.layouts import MODES, Mode

SIDE_FIELDS: Final = (
    "token",
    "oi",
    "oi_change",
    "volume",
    "iv",
    "delta",
    "gamma",
    "theta",
    "vega",
    "bid",
    "ask",
    "last_price",
)
"""Numbers of a call or a put, in the order in which the view reads them."""
STRIKES_AROUND: Final = {"6": 6, "12": 12, "25": 25, "all": None}
"""Strikes on each side of the money that the view offers."""


class OptionChain(LiveWidget):
    """Calls and puts of an underlying by strike: prices, volatilities, greeks, open interest.

    Click a call or a put to select it (`selected`); charts and ladders that follow show it.

    Parameters
    ----------
    ticker
        The ticker.
    underlying
        ``"NIFTY"``, ``"INFY"``, ``"CRUDEOIL"``, …
    expiry
        A date or YYYY-MM-DD; the nearest if None.
    strikes
        How many strikes on each side of the money; None for all.
    exchange
        The exchange, if the options are listed on several.
    rate
        Annual interest rate, continuously compounded, as a fraction: 0.065 for 6.5 %.
    height
        Greatest height of the rows in pixels.
    publisher
        The UI thread; tests pass another one.

    Attributes
    ----------
    selected
        Token of the selected contract, 0 if none is.

    Raises
    ------
    UnknownInstrument
        If there are no options on the underlying.
    ConfigError
        If none expires on that day, or `strikes` is negative.

    Examples
    --------
    >>> import kitepolars as kp
    >>> from kitepolars.widgets import OptionChain
    >>> ticker = kp.demo()
    >>> chain = OptionChain(ticker, "NIFTY", strikes=6)
    >>> chain.expiry == ticker.instruments.options("NIFTY")["expiry"].min()
    True
    >>> ticker.stop()
    """

    _esm = asset("chain.js")

    _refresh_every = TICK

    height = traitlets.Int(560).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        ticker: WatchedTicker,
        underlying: str,
        expiry: dt.date | str | None = None,
        *,
        strikes: int | None = 12,
        exchange: str | None = None,
        rate: float = 0.0,
        height: int = 560,
        publisher: Publisher | None = None,
    ) -> None:
        if strikes is not None and strikes < 0:
            raise ConfigError("strikes", strikes, "0 or more")
        self._find = partial(ticker._listed_chain, underlying, exchange=exchange)  # noqa: SLF001 - a ticker's own views are its friends
        self._listed = self._find(expiry)
        self._strikes = strikes
        self._rate = rate
        self._base: FirstOpenInterest = {}
        self._base_of: ListedChain | None = None
        self._tokens = np.empty(0, np.uint32)
        self._labels: dict[int, str] = {}
        self._missing = 0
        self._state: object = None
        super().__init__(ticker, publisher=publisher, traits={"height": height})

    @property
    def expiry(self) -> dt.date:
        """The expiry shown. Set a date or YYYY-MM-DD to show another."""
        day: dt.date = self._listed.contracts["expiry"][0]
        return day

    @expiry.setter
    def expiry(self, expiry: dt.date | str) -> None:
        self._listed = self._find(expiry)
        self._channel.refresh()

    @property
    def strikes(self) -> int | None:
        """How many strikes are shown on each side of the money; None for all."""
        return self._strikes

    @strikes.setter
    def strikes(self, strikes: int | None) -> None:
        if strikes is not None and strikes < 0:
            raise ConfigError("strikes", strikes, "0 or more")
        self._strikes = strikes
        self._channel.refresh()

    def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take an expiry, a number of strikes, a selected contract or a wish to subscribe."""
        if kind == "expiry":
            self.expiry = content["expiry"]
        elif kind == "strikes":
            self.strikes = STRIKES_AROUND[content["strikes"]]
        elif kind == "select":
            self.selected = int(content["token"])
            select_instrument(self.ticker, self.selected)
        elif kind == "subscribe":
            tokens = [*self._listed.tokens, *self._listed.references[:1]]
            subscribe = partial(self.ticker.subscribe, tokens, mode=Mode.FULL)
            self._channel.post(subscribe)

    def _snapshot(self, reading: Reading) -> Update:
        """Return the chain near the money."""
        listed = self._listed
        ticks = self._ticks_of(listed, reading)
        self._state = self._state_of(listed, ticks, reading)
        return self._whole(listed, ticks)

    def _changes(self, reading: Reading) -> Update | None:
        """Return the chain again after a new tick of it, or another choice."""
        listed = self._listed
        ticks = self._ticks_of(listed, reading)
        before, self._state = self._state, self._state_of(listed, ticks, reading)
        return None if self._state == before else self._whole(listed, ticks)

    def _ticks_of(self, listed: ListedChain, reading: Reading) -> pl.DataFrame:
        """Return the last ticks of a chain's instruments: pricing a chain costs their number."""
        if self._base_of is not listed:
            self._base = first_open_interest(reading.held.since(0), listed.tokens)
            self._base_of = listed
            others = [token for token in (listed.future, *listed.references) if token is not None]
            self._tokens = np.array([*listed.tokens, *others], np.uint32)
            labels = labels_of(self.ticker, listed.references)
            self._labels = dict(zip(listed.references, labels, strict=True))
        return reading.latest_of(self._tokens)

    def _state_of(self, listed: ListedChain, ticks: pl.DataFrame, reading: Reading) -> object:
        """Return what changes with a tick of the chain, its subscriptions, another choice."""
        arrived = ticks["received_at"].to_numpy().tobytes()
        self._missing = _missing(listed, reading)
        return listed, self._strikes, arrived, self._missing

    def _whole(self, listed: ListedChain, ticks: pl.DataFrame) -> Update:
        strikes = self._strikes
        live = price_chain(
            listed.contracts,
            ticks,
            rate=self._rate,
            strikes=strikes,
            future=listed.future,
            references=listed.references,
        )
        if len(self._base) < len(listed.tokens):
            for token, oi, received_at in ticks.select(*_FIRST).iter_rows():
                if oi is not None and token not in self._base:
                    self._base[token] = oi, received_at
        calls, puts = np.nansum(live.open_interest, axis=1).tolist()
        content = {
            "underlying": listed.contracts["underlying"][0],
            "expiry": str(listed.contracts["expiry"][0]),
            "expiries": [str(day) for day in listed.expiries],
            "strikes": next((k for k, n in STRIKES_AROUND.items() if n == strikes), ""),
            "since": _earliest(self._base),
            "missing": self._missing,
            "contracts": len(listed.tokens),
            "forward": _known(live.forward),
            "days": 365 * (_known(live.years) or 0.0),
            "put_call_ratio": puts / calls if calls else None,
            **self._reference(listed, ticks),
        }
        return Update(content, [numbers_of(live, self._base).tobytes()], whole=True)

    def _reference(self, listed: ListedChain, ticks: pl.DataFrame) -> dict[str, Any]:
        """Return name, price and change of the index, share or future that the options are on."""
        there = ticks["instrument_token"].to_list()
        token = next((token for token in listed.references if token in there), None)
        if token is None:
            return {}
        price, close = ticks.select("last_price", "close").row(there.index(token))
        change = 100 * (price - close) / close if close else None
        return {"reference": self._labels[token], "price": price, "change": change}


FirstOpenInterest = dict[int, tuple[int, dt.datetime]]
"""Open interest and its time of arrival by token."""


def first_open_interest(ticks: pl.DataFrame, tokens: pl.Series) -> FirstOpenInterest:
    """Return the first open interest of each instrument among ticks, and when it arrived.

    Parameters
    ----------
    ticks
        Ticks with the columns of ``frame()``, in order of arrival.
    tokens
        The instruments.

    Examples
    --------
    >>> at = dt.datetime(2026, 11, 26, 9, 15)
    >>> schema = {"instrument_token": pl.UInt32, "oi": pl.UInt32, "received_at": pl.Datetime}
    >>> ticks = pl.DataFrame([(1, None, at), (2, 7, at), (1, 5, at)], schema, orient="row")
    >>> first_open_interest(ticks, pl.Series([1], dtype=pl.UInt32))[1][0]
    5
    """
    first = (
        ticks.lazy()
        .select(*_FIRST)
        .filter(pl.col("instrument_token").is_in(tokens.implode()), pl.col("oi").is_not_null())
        .unique("instrument_token", keep="first", maintain_order=True)
        .collect()
    )
    return {token: (oi, at) for token, oi, at in first.iter_rows()}


def numbers_of(
    live: PricedChain, base: Mapping[int, tuple[int, object]]
) -> npt.NDArray[np.float64]:
    """Return the strike, then `SIDE_FIELDS` of call and put, a row per strike; NaN if unknown.

    Parameters
    ----------
    live
        The chain with its quotes.
    base
        The result of `first_open_interest`.
    """
    columns = [live.contracts["strike"].to_numpy()]
    for place, side in enumerate(("call", "put")):
        tokens = live.contracts[f"{side}_token"]
        first = [base.get(token, (np.nan,))[0] for token in tokens.to_list()]
        own = {name: values[place] for name, values in live.sides.items()}
        own["token"] = tokens.to_numpy()
        own["oi_change"] = own["oi"] - np.array(first, np.float64)
        columns += [own[name] for name in SIDE_FIELDS]
    return np.column_stack(columns).astype(np.float64)


_FULL_CODE: Final = MODES.index(Mode.FULL)
_FIRST: Final = ("instrument_token", "oi", "received_at")
"""The columns of ticks that the first open interest is read from."""


def _missing(listed: ListedChain, reading: Reading) -> int:
    """Return how many contracts of a chain are not subscribed in full mode."""
    tokens, subscribed = listed.tokens.to_numpy(), reading.subscriptions
    own = is_among(subscribed["instrument_token"].to_numpy(), tokens)
    modes = subscribed["mode"].to_physical().to_numpy()[own]
    return len(tokens) - int(np.count_nonzero(modes == _FULL_CODE))


def _known(values: npt.NDArray[np.float64]) -> float | None:
    """Return the first number that is known."""
    return next(iter(values[np.isfinite(values)].tolist()), None)


def _earliest(base: FirstOpenInterest) -> float | None:
    """Return the earliest time of a first open interest, in milliseconds since the epoch."""
    return min(at for _, at in base.values()).timestamp() * 1000 if base else None
