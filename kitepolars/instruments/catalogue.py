"""Owns `Instruments`: symbol ↔ token, and what the dump can be asked; immutable, any thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from os import PathLike
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.instruments.derivatives import (
    FUTURE,
    SHARE_DERIVATIVES,
    chosen_expiry,
    contracts,
    label,
    option_chain,
    spot_name,
    today_in_india,
    trades_on,
)
from kitepolars.instruments.dump import (
    DUMP_SCHEMA,
    DUMP_URL,
    REJECTED_SCHEMA,
    Dump,
    read_dump,
    read_records,
    warn_of,
)
from kitepolars.instruments.naming import Instrument, Names, SomeInstruments
from kitepolars.instruments.search import OPTION_TYPES, Haystack
from kitepolars.instruments.summary import as_html

_LABELLED: Final = ("tradingsymbol", "name", "expiry", "strike", "instrument_type")

SYMBOL: Final = pl.Categorical()
"""The dtype of every ``symbol`` column."""


class Instruments:
    """Every instrument that Kite knows on a day, keyed on exchange and tradingsymbol.

    Build one with `read_csv`, `fetch` or `from_records`. It never changes, and
    may be used from any thread.

    Parameters
    ----------
    frame
        The dump's columns with their dtypes (`DUMP_SCHEMA`); others are ignored.
    aliases
        Rows with further names of the same tokens, likewise.
    rejected
        The rows that were left out, if any.

    Raises
    ------
    ConfigError
        If a column is missing or has values that do not fit its dtype.

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
        missing = [name for name in DUMP_SCHEMA if name not in frame.columns]
        if missing:
            lacking = f"the frame has no {', '.join(missing)}"
            raise ConfigError("frame", frame.columns, message=lacking)
        try:
            dump = frame.select(*DUMP_SCHEMA).cast(DUMP_SCHEMA)
        except pl.exceptions.InvalidOperationError as error:
            wrong = f"the columns of the frame cannot be cast to those of the dump: {error}"
            raise ConfigError("frame", frame.schema, message=wrong) from None
        symbol = pl.concat_str("exchange", "tradingsymbol", separator=":").cast(SYMBOL)
        self._frame = dump.with_columns(symbol.alias("symbol"))
        self._names = Names(self._frame, aliases)
        self._rejected = REJECTED_SCHEMA.to_frame() if rejected is None else rejected

    @classmethod
    def read_csv(cls, source: str | PathLike[str] | bytes) -> Self:
        """Read the instruments dump from a file or its bytes, plain or gzipped.

        Rows that are malformed are left out, listed in `rejected` with their
        line number, and warned of once.

        Parameters
        ----------
        source
            A path, or the file's bytes.

        Raises
        ------
        ConfigError
            If it is no instruments dump.
        OSError
            If the file cannot be read.
        """
        return cls._of(read_dump(source))

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Take the instruments as the official client returns them.

        Parameters
        ----------
        records
            One mapping an instrument, e.g. ``kite.instruments()``. An ``expiry`` of
            ``""`` is understood.

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
        """Fetch the dump from Kite, once a day; later calls read the file kept of it.

        A new dump is there each day by about 08:30 IST; before that, yesterday's is
        the newest. No credentials are needed or sent.

        Parameters
        ----------
        exchange
            One exchange, such as ``"NSE"``; None for all (about 117,000 rows, 9.5 MB).
        cache_dir
            Where the file is kept; ``kitepolars`` in the user's cache folder by default.
        url
            The endpoint, without the exchange.

        Raises
        ------
        ConnectionLost
            If the server does not give the dump.
        ConfigError
            If the exchange or the URL cannot be right, or the answer is no dump.

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
        """The dump's columns, and ``symbol`` ("NSE:INFY") to join ticks on; one row an instrument.

        ``expiry`` is a Date or null, ``strike``, ``tick_size`` and ``last_price``
        are rupees, ``lot_size`` is in units.
        """
        return self._frame

    @property
    def rejected(self) -> pl.DataFrame:
        """The rows of the dump that were left out: ``line`` (the header is 1), reason, content."""
        return self._rejected

    def to_csv(self) -> bytes:
        """Return the instruments as a dump, such as `read_csv` reads."""
        return self._frame.select(*DUMP_SCHEMA).write_csv().encode()

    def resolve(self, instrument: Instrument) -> int:
        """Return the token of one instrument.

        Parameters
        ----------
        instrument
            ``"NSE:INFY"`` (upper or lower case, spaces do not matter), or a token,
            which need not be in the dump.

        Raises
        ------
        UnknownInstrument
            If the name is in no row; with close names.
        ConfigError
            If it is neither a name nor an integer from 1 to 4294967295.
        """
        return self._names.resolve(instrument)

    def tokens(self, instruments: SomeInstruments) -> list[int]:
        """Return the tokens of instruments, in the order given.

        Parameters
        ----------
        instruments
            A name or token, several of them, a Series, an array, or a DataFrame
            with an ``instrument_token`` or ``symbol`` column (such as a search
            result), or an option chain: first the calls, then the puts.

        Raises
        ------
        UnknownInstrument
            If a name is in no row; it is the first such name.
        ConfigError
            If something is neither a name nor an integer from 1 to 4294967295.
        """
        return self._names.resolve_all(instruments)

    def symbol(self, instrument_token: int) -> str | None:
        """Return the name of a token, "NSE:INFY", or None where the dump has none."""
        row = self._names.rows([instrument_token])[0]
        return None if row is None else self._frame["symbol"][row]

    def symbols(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the names of tokens as a Categorical column, null where the dump has none.

        Parameters
        ----------
        instrument_tokens
            Tokens, as integers.
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
        """
        rows = self._frame.select(pl.col(_LABELLED).gather(self._names.rows(instrument_tokens)))
        return rows.select(label(self._nearest_expiry)).to_series()

    @cached_property
    def _nearest_expiry(self) -> date | None:
        nearest: Any = self._frame["expiry"].min()
        return nearest if isinstance(nearest, date) else None

    def search(self, query: str, limit: int = 50) -> pl.DataFrame:
        """Return the instruments that match what somebody types, best first.

        Every word must be found: in the symbol, the name, the strike, the type (``ce``,
        ``pe``, ``fut``), the expiry (``26nov``) or the exchange, in any order. A whole
        symbol comes first, then its beginning, then whole words, then the beginnings of
        words; among equals indices and shares come before futures and options, and near
        expiries before far ones. A word that occurs nowhere is taken as misspelt.

        Parameters
        ----------
        query
            Such as ``"nifty 24 ce"``; empty for the first instruments of all.
        limit
            How many rows at most.

        Raises
        ------
        ConfigError
            If the limit is below 1.

        Returns
        -------
        DataFrame
            The columns of `frame`, the symbol first.
        """
        return self._frame[self._haystack.search(query, limit)].select("symbol", *DUMP_SCHEMA)

    def expiries(self, underlying: str, *, exchange: str | None = None) -> list[date]:
        """Return the days on which futures or options on an underlying expire, in order.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, or the name of what it is on, ``"NSE:NIFTY 50"``.
        exchange
            Where; the first of NFO, BFO, MCX, CDS, BCD, NCO that has any by default.

        Raises
        ------
        UnknownInstrument
            If there are none.
        """
        found = contracts(self._frame, underlying, (FUTURE, *OPTION_TYPES), exchange)
        days: list[date] = found["expiry"].unique().sort().to_list()
        return days

    def futures(self, underlying: str, *, exchange: str | None = None) -> pl.DataFrame:
        """Return the futures on an underlying, the nearest first.

        Parameters
        ----------
        underlying, exchange
            As for `expiries`.

        Raises
        ------
        UnknownInstrument
            If there are none.
        """
        found = contracts(self._frame, underlying, (FUTURE,), exchange)
        return found.select("symbol", *DUMP_SCHEMA)

    def option_chain(
        self,
        underlying: str,
        expiry: date | str | None = None,
        *,
        around: float | None = None,
        strikes: int | None = None,
        exchange: str | None = None,
    ) -> pl.DataFrame:
        """Return the calls and puts of one expiry side by side, a row a strike.

        Parameters
        ----------
        underlying, exchange
            As for `expiries`.
        expiry
            A date or YYYY-MM-DD; the nearest that is not past by default.
        around
            A price in rupees, to see only the strikes near it.
        strikes
            How many strikes on each side of the one nearest to ``around``; 10 by default.

        Raises
        ------
        UnknownInstrument
            If there are no options on it.
        ConfigError
            If none expires on that day, with the days on which some do; or if
            ``strikes`` is negative or given without ``around``.

        Returns
        -------
        DataFrame
            ``underlying``, ``expiry``, ``strike``, ``lot_size``, ``call_token``,
            ``call_symbol``, ``put_token``, ``put_symbol``; null where a side is not
            listed. `tokens` takes it as it is.
        """
        options = contracts(self._frame, underlying, OPTION_TYPES, exchange)
        day = chosen_expiry(options, expiry, today_in_india())
        return option_chain(options.filter(expiry=day), around=around, strikes=strikes)

    def spot(self, underlying: str) -> int | None:
        """Return the token of the index or share that contracts are on, or None.

        Parameters
        ----------
        underlying
            ``"NIFTY"``, ``"INFY"``, … Commodities and currencies have none, although a fund or
            a share may have the same name: the contracts on SILVER are not on NSE's SILVER.
        """
        exchanges = trades_on(self._frame, underlying)
        if exchanges and not exchanges & SHARE_DERIVATIVES:
            return None
        keys = (f"{exchange}:{spot_name(underlying)}" for exchange in ("NSE", "BSE"))
        return next((token for key in keys if (token := self._names.find(key))), None)

    @cached_property
    def _haystack(self) -> Haystack:
        return Haystack(self._frame)

    def __len__(self) -> int:
        return self._frame.height

    def __contains__(self, instrument: object) -> bool:
        """Whether a name or a token is in the dump."""
        if isinstance(instrument, str):
            return self._names.find(instrument) is not None
        if isinstance(instrument, int | np.integer) and not isinstance(instrument, bool):
            return self.symbol(int(instrument)) is not None
        return False

    def __repr__(self) -> str:
        counts = (
            self._frame.group_by("exchange")
            .len("count")
            .sort("count", pl.col("exchange").cast(pl.String), descending=[True, False])
        )
        parts = ", ".join(f"{exchange} {count:,}" for exchange, count in counts.iter_rows())
        left_out = f"; {self._rejected.height:,} rows rejected" if self._rejected.height else ""
        return f"<Instruments: {len(self):,}{f' ({parts})' if parts else ''}{left_out}>"

    def _repr_html_(self) -> str:
        return as_html(self._frame, self._rejected.height)
