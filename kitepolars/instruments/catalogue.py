"""`Instruments`: symbol ↔ token, search and contracts, from one dump. Immutable; any thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from os import PathLike
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.instruments.derivatives import (
    CONTRACT_TYPES,
    FUTURE,
    SHARE_DERIVATIVES,
    Contracts,
    chosen_expiry,
    label,
    option_chain,
    spot_name,
    today_in_india,
)
from kitepolars.instruments.dump import (
    DUMP_SCHEMA,
    DUMP_URL,
    OPTION_TYPES,
    REJECTED_SCHEMA,
    Dump,
    checked_dump,
    read_dump,
    read_records,
    warn_of,
)
from kitepolars.instruments.names import Instrument, Names, SomeInstruments
from kitepolars.instruments.search import SearchIndex
from kitepolars.instruments.summary import one_line, table_of_segments

_LABELLED: Final = ("tradingsymbol", "name", "expiry", "strike", "instrument_type")

SYMBOL: Final = pl.Categorical()
"""The dtype of every ``symbol`` column."""


class Instruments:
    """The instruments that Kite lists on a day, by exchange and tradingsymbol.

    Usually made with `read_csv`, `fetch` or `from_records`.

    Parameters
    ----------
    frame
        One row per token, with the dump's columns (`DUMP_SCHEMA`); others are ignored.
    aliases
        Rows with further names of these tokens, with the same columns.
    rejected
        The rows of the dump that were skipped.

    Raises
    ------
    ConfigError
        If a column is missing or has values that do not fit its dtype, or if an expiry is not
        from 2000 to 2099.

    Examples
    --------
    >>> dump = b'''instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,\
strike,tick_size,lot_size,instrument_type,segment,exchange
    ... 408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
    ... 256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE
    ... '''
    >>> instruments = Instruments.read_csv(dump)
    >>> instruments.tokens(["NSE:INFY", "nse:nifty 50", 5633])
    [408065, 256265, 5633]
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        *,
        aliases: pl.DataFrame | None = None,
        rejected: pl.DataFrame | None = None,
    ) -> None:
        dump = checked_dump(frame)
        symbol = pl.concat_str("exchange", "tradingsymbol", separator=":").cast(SYMBOL)
        self._frame = dump.with_columns(symbol.alias("symbol"))
        self._aliases = dump.clear() if aliases is None else aliases
        self._names = Names(self._frame, self._aliases)
        self._rejected = REJECTED_SCHEMA.to_frame() if rejected is None else rejected

    @classmethod
    def read_csv(cls, source: str | PathLike[str] | bytes) -> Self:
        """Read the instruments dump from a file or its bytes, plain or gzipped.

        Malformed rows are skipped, with a warning, and listed in `rejected` with their line
        numbers.

        Parameters
        ----------
        source
            A path, or the file's bytes.

        Raises
        ------
        ConfigError
            If it is not an instruments dump.
        OSError
            If the file cannot be read.
        """
        return cls._of(read_dump(source))

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Read the instruments from the official client.

        Parameters
        ----------
        records
            One mapping per instrument, e.g. ``kite.instruments()``, where an empty ``expiry`` is
            ``""``.

        Raises
        ------
        ConfigError
            If a record lacks a column of the dump.
        """
        return cls._of(read_records(records))

    @classmethod
    def fetch(
        cls,
        exchange: str | None = None,
        *,
        cache_dir: str | PathLike[str] | None = None,
        url: str = DUMP_URL,
    ) -> Self:
        """Download the dump from Kite, or read it from the cache if it has today's.

        Kite publishes a new dump each day by about 08:30 IST. No credentials are needed or sent.

        Parameters
        ----------
        exchange
            One exchange, such as ``"NSE"``; None for all (about 117,000 rows, 9.5 MB).
        cache_dir
            The folder of the cache; ``kitepolars`` in the user's cache folder by default.
        url
            The endpoint, without the exchange.

        Raises
        ------
        ConnectionLost
            If the download fails.
        ConfigError
            If the exchange or the URL is invalid, or the response is not a dump.

        Notes
        -----
        Source: Kite Connect v3, "Market quotes and instruments".
        """
        from kitepolars.instruments.download import fetch_dump  # noqa: PLC0415 - loads HTTP

        return cls._of(fetch_dump(exchange, cache_dir=cache_dir, url=url))

    @classmethod
    def _of(cls, dump: Dump) -> Self:
        warn_of(dump.rejected, stacklevel=3)
        return cls(dump.frame, aliases=dump.aliases, rejected=dump.rejected)

    @property
    def frame(self) -> pl.DataFrame:
        """The dump's columns, and ``symbol`` ("NSE:INFY") to join ticks on; one row per token.

        ``expiry`` is a Date or null; ``strike``, ``tick_size`` and ``last_price`` are in rupees,
        ``lot_size`` is in units.
        """
        return self._frame

    @property
    def rejected(self) -> pl.DataFrame:
        """The malformed rows of the dump: ``line`` (the header is 1), ``reason``, ``content``."""
        return self._rejected

    def to_csv(self) -> bytes:
        """Return the instruments as a dump, which `read_csv` reads.

        Returns
        -------
        bytes
            UTF-8 text, with the header of Kite's dump.
        """
        rows = pl.concat([self._frame.select(*DUMP_SCHEMA), self._aliases.select(*DUMP_SCHEMA)])
        return rows.write_csv().encode()

    def resolve(self, instrument: Instrument) -> int:
        """Return the token of one instrument.

        Parameters
        ----------
        instrument
            ``"NSE:INFY"`` (in any case, with or without further spaces), or a token, which need
            not be in the dump.

        Returns
        -------
        int
            Kite's token, from 1 to 4294967295.

        Raises
        ------
        UnknownInstrument
            If the name is unknown; with similar names.
        ConfigError
            If it is neither a name nor an integer from 1 to 4294967295.
        """
        return self._names.resolve(instrument)

    def tokens(self, instruments: SomeInstruments) -> list[int]:
        """Return the tokens of instruments, in the given order.

        Parameters
        ----------
        instruments
            A name or token, or an iterable, Series or array of them; a DataFrame with an
            ``instrument_token`` or ``symbol`` column, such as a search result; or an option chain:
            first the calls, then the puts.

        Returns
        -------
        list of int
            One token per instrument.

        Raises
        ------
        UnknownInstrument
            If a name is unknown; it names the first.
        ConfigError
            If one is neither a name nor an integer from 1 to 4294967295.
        """
        return self._names.resolve_all(instruments)

    def symbol(self, instrument_token: int) -> str | None:
        """Return the name of a token, "NSE:INFY", or None if it is not in the dump.

        Parameters
        ----------
        instrument_token
            Kite's number of the instrument.

        Returns
        -------
        str or None
            ``"EXCHANGE:TRADINGSYMBOL"``.
        """
        row = self._names.rows([instrument_token])[0]
        return None if row is None else self._frame["symbol"][row]

    def symbols(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the names of tokens as a Categorical column, null for tokens not in the dump.

        Parameters
        ----------
        instrument_tokens
            Tokens, as integers.

        Returns
        -------
        polars.Series
            Categorical, of the length of `instrument_tokens`.
        """
        return self._frame["symbol"].gather(self._names.rows(instrument_tokens))

    def labels(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the names of tokens as traders read them, null where the dump has none.

        ``"NIFTY 1 Dec 26000 CE"``, ``"NIFTY 29 Dec FUT"``; instruments that do not expire have
        their tradingsymbol, ``"INFY"``. Expiries that are most of a year away have their year.

        Parameters
        ----------
        instrument_tokens
            Tokens, as integers.

        Returns
        -------
        polars.Series
            String, of the length of `instrument_tokens`.
        """
        rows = self._frame.select(pl.col(_LABELLED).gather(self._names.rows(instrument_tokens)))
        return rows.select(label(self._nearest_expiry)).to_series()

    @cached_property
    def _nearest_expiry(self) -> date | None:
        nearest: Any = self._frame["expiry"].min()
        return nearest if isinstance(nearest, date) else None

    def search(self, query: str, limit: int = 50) -> pl.DataFrame:
        """Return the instruments that match a query, best first.

        All words must match, in any order: in the symbol, the name, the strike, the type
        (``ce``, ``pe``, ``fut``), the expiry or the exchange. A day with a month (``1 dec``,
        ``1dec26``, ``1st december 2026``, ``2026-12-01``) matches expiries on that day only, or
        symbols with that year and month (``26 dec``). A number matches strikes that begin with
        it first, the nearest to the money before others.

        A whole symbol ranks first, then the beginning of a symbol, whole words, beginnings of
        words. Among equals indices and shares come before futures and options, near expiries
        before far ones. A word that occurs nowhere is treated as misspelt.

        Parameters
        ----------
        query
            Such as ``"nifty 24 ce"``; an empty one matches all instruments.
        limit
            The most rows, 1 and up.

        Raises
        ------
        ConfigError
            If the limit is below 1.

        Returns
        -------
        DataFrame
            The columns of `frame`, the symbol first.
        """
        return self._frame[self._search_index.search(query, limit)].select("symbol", *DUMP_SCHEMA)

    def expiries(self, underlying: str, *, exchange: str | None = None) -> list[date]:
        """Return the days on which futures or options on an underlying expire, in order.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, or the name of the index or share, ``"NSE:NIFTY 50"``.
        exchange
            The exchange; by default the first of NFO, BFO, MCX, CDS, BCD, NCO with such contracts.

        Returns
        -------
        list of datetime.date
            At least one.

        Raises
        ------
        UnknownInstrument
            If there are none.
        """
        found = self._contracts.on(underlying, CONTRACT_TYPES, exchange)
        days: list[date] = found["expiry"].unique().sort().to_list()
        return days

    def futures(self, underlying: str, *, exchange: str | None = None) -> pl.DataFrame:
        """Return the futures on an underlying, the nearest first.

        Parameters
        ----------
        underlying, exchange
            As for `expiries`.

        Returns
        -------
        polars.DataFrame
            The columns of `frame`, the symbol first.

        Raises
        ------
        UnknownInstrument
            If there are none.
        """
        found = self._contracts.on(underlying, (FUTURE,), exchange)
        return found.select("symbol", *DUMP_SCHEMA)

    def options(self, underlying: str, *, exchange: str | None = None) -> pl.DataFrame:
        """Return the options on an underlying, by expiry and strike.

        Parameters
        ----------
        underlying, exchange
            As for `expiries`.

        Raises
        ------
        UnknownInstrument
            If there are none.

        Returns
        -------
        DataFrame
            The columns of `frame`, the symbol first, and ``underlying``.
        """
        found = self._contracts.on(underlying, OPTION_TYPES, exchange)
        return found.select("symbol", *DUMP_SCHEMA, "underlying")

    def option_chain(
        self,
        underlying: str,
        expiry: date | str | None = None,
        *,
        around: float | None = None,
        strikes: int | None = None,
        exchange: str | None = None,
    ) -> pl.DataFrame:
        """Return the calls and puts of one expiry side by side, one row per strike.

        Parameters
        ----------
        underlying, exchange
            As for `expiries`.
        expiry
            A date or YYYY-MM-DD; by default the nearest that has not passed.
        around
            A price in rupees; only strikes near it are returned.
        strikes
            Strikes on each side of the one nearest to ``around``, 0 and up; 10 by default.

        Raises
        ------
        UnknownInstrument
            If there are no options on it.
        ConfigError
            If none expires on that day; with the days on which some do. If ``strikes`` is
            negative or given without ``around``.

        Returns
        -------
        DataFrame
            ``underlying``, ``expiry``, ``strike``, ``lot_size``, ``call_token``,
            ``call_symbol``, ``put_token``, ``put_symbol``; null where a side is not
            listed. `tokens` accepts it.
        """
        options = self.options(underlying, exchange=exchange)
        day = chosen_expiry(options, expiry, today_in_india())
        return option_chain(options.filter(expiry=day), around=around, strikes=strikes)

    def spot(self, underlying: str) -> int | None:
        """Return the token of the index or share that contracts are on, or None.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, … Commodities and currencies have none: contracts on SILVER
            are not on the fund of that name on NSE.

        Returns
        -------
        int or None
            The token.
        """
        exchanges = self._contracts.exchanges(underlying)
        if exchanges and not exchanges & SHARE_DERIVATIVES:
            return None
        keys = (f"{exchange}:{spot_name(underlying)}" for exchange in ("NSE", "BSE"))
        return next((token for key in keys if (token := self._names.find(key))), None)

    @cached_property
    def _contracts(self) -> Contracts:
        return Contracts(self._frame)

    @cached_property
    def _search_index(self) -> SearchIndex:
        return SearchIndex(self._frame)

    def __len__(self) -> int:
        return self._frame.height

    def __contains__(self, instrument: object) -> bool:
        """Return whether a name or a token is in the dump."""
        if isinstance(instrument, str):
            return self._names.find(instrument) is not None
        if isinstance(instrument, int | np.integer) and not isinstance(instrument, bool):
            return self.symbol(int(instrument)) is not None
        return False

    def __repr__(self) -> str:
        return one_line(self._frame, self._rejected.height)

    def _repr_html_(self) -> str:
        return table_of_segments(self._frame, self._rejected.height)
