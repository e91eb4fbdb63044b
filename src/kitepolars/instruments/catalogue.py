"""Owns `Instruments`: symbol ↔ token, and what the dump can be asked; immutable, any thread."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import cached_property
from os import PathLike
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError, UnknownInstrument
from kitepolars.instruments.download import URL, fetch_dump
from kitepolars.instruments.dump import (
    DUMP_SCHEMA,
    REJECTED_SCHEMA,
    Dump,
    read_dump,
    read_records,
    warn_of,
)
from kitepolars.instruments.spelling import SpellingIndex
from kitepolars.instruments.summary import as_html

Instrument: TypeAlias = int | str | np.integer[Any]
"""An instrument token, or a name such as ``"NSE:INFY"``."""

SomeInstruments: TypeAlias = (
    Instrument | Iterable[Instrument] | pl.Series | pl.DataFrame | npt.NDArray[Any]
)
"""What can be turned into tokens: one, several, a column, or a frame that has such a column."""

SYMBOL: Final = pl.Categorical()
"""The dtype of every ``symbol`` column."""

MAX_TOKEN: Final = 2**32 - 1
"""Tokens are 32-bit on the wire."""

_SUGGESTIONS: Final = 5


class Instruments:
    """Every instrument that Kite knows on a day, keyed on exchange and tradingsymbol.

    Build one with `read_csv`, `fetch` or `from_records`. It never changes, and
    may be used from any thread.

    Parameters
    ----------
    frame
        The dump's columns with their dtypes (`DUMP_SCHEMA`); others are ignored.
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

    def __init__(self, frame: pl.DataFrame, *, rejected: pl.DataFrame | None = None) -> None:
        missing = [name for name in DUMP_SCHEMA if name not in frame.columns]
        if missing:
            raise ConfigError("frame", frame.columns, f"a frame with {', '.join(missing)} as well")
        try:
            dump = frame.select(*DUMP_SCHEMA).cast(DUMP_SCHEMA)
        except pl.exceptions.InvalidOperationError as error:
            raise ConfigError("frame", frame.schema, f"castable to the dump's ({error})") from None
        symbol = pl.concat_str("exchange", "tradingsymbol", separator=":").cast(SYMBOL)
        self._frame = dump.with_columns(symbol.alias("symbol"))
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
        url: str = URL,
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
        return cls._of(fetch_dump(exchange, cache_dir=cache_dir, url=url))

    @classmethod
    def _of(cls, dump: Dump) -> Self:
        warn_of(dump.rejected, stacklevel=3)
        return cls(dump.frame, rejected=dump.rejected)

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
        if isinstance(instrument, str):
            token = self._find(instrument)
            if token is None:
                raise self._unknown(instrument)
            return token
        return _valid_token(instrument)

    def tokens(self, instruments: SomeInstruments) -> list[int]:
        """Return the tokens of instruments, in the order given.

        Parameters
        ----------
        instruments
            A name or token, several of them, a Series, an array, or a DataFrame
            with an ``instrument_token`` or ``symbol`` column (such as a search
            result or an option chain).

        Raises
        ------
        UnknownInstrument
            If a name is in no row; it is the first such name.
        ConfigError
            If something is neither a name nor an integer from 1 to 4294967295.
        """
        if isinstance(instruments, str) or not isinstance(
            instruments, Iterable | pl.Series | pl.DataFrame | np.ndarray
        ):
            return [self.resolve(instruments)]
        return [self.resolve(instrument) for instrument in _plain(instruments)]

    def symbol(self, instrument_token: int) -> str | None:
        """Return the name of a token, "NSE:INFY", or None where the dump has none."""
        row = self._rows([instrument_token])[0]
        return None if row is None else self._frame["symbol"][row]

    def symbols(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the names of tokens as a Categorical column, null where the dump has none.

        Parameters
        ----------
        instrument_tokens
            Tokens, as integers.
        """
        return self._frame["symbol"].gather(self._rows(instrument_tokens))

    def _rows(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the row of each token, null where there is none."""
        wanted = pl.Series("instrument_token", instrument_tokens).cast(pl.Int64)
        sorted_tokens, rows = self._by_token
        if not len(rows):
            return pl.Series([None] * len(wanted), dtype=pl.UInt32)
        tokens = wanted.fill_null(0).to_numpy()
        places = np.minimum(np.searchsorted(sorted_tokens, tokens), len(rows) - 1)
        found = pl.Series(sorted_tokens[places] == tokens)
        return pl.select(pl.when(found).then(pl.Series(rows[places]))).to_series()

    @cached_property
    def _by_token(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        tokens = self._frame["instrument_token"].to_numpy().astype(np.int64)
        rows = np.argsort(tokens, kind="stable").astype(np.uint32)
        return tokens[rows], rows

    @cached_property
    def _token_by_key(self) -> dict[str, int]:
        keys = self._frame.select(
            pl.concat_str(
                "exchange",
                pl.col("tradingsymbol").str.replace_all(r"\s+", " ").str.strip_chars(),
                separator=":",
            ).str.to_uppercase()
        ).to_series()
        tokens = self._frame["instrument_token"]
        return dict(zip(keys.to_list(), tokens.to_list(), strict=True))

    def _find(self, name: str) -> int | None:
        token = self._token_by_key.get(name)
        return self._token_by_key.get(_key(name)) if token is None else token

    @cached_property
    def _spelling(self) -> SpellingIndex:
        return SpellingIndex(list(self._token_by_key))

    def _unknown(self, name: str) -> UnknownInstrument:
        hint = _hint(name, known=len(self))
        return UnknownInstrument(
            name, () if name.strip().isdigit() else self._suggestions(name), hint=hint
        )

    def _suggestions(self, name: str) -> list[str]:
        exchange, _, symbol = _key(name).rpartition(":")
        tail = f":{symbol}"
        elsewhere = [key for key in self._token_by_key if key.endswith(tail)]
        close = self._spelling.close(f"{exchange or 'NSE'}:{symbol}", _SUGGESTIONS)
        return list(dict.fromkeys(elsewhere + close))[:_SUGGESTIONS]

    def __len__(self) -> int:
        return self._frame.height

    def __contains__(self, instrument: object) -> bool:
        """Whether a name or a token is in the dump."""
        if isinstance(instrument, str):
            return self._find(instrument) is not None
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


def _key(name: str) -> str:
    exchange, colon, symbol = name.partition(":")
    return f"{exchange.strip()}{colon}{' '.join(symbol.split())}".upper()


def _hint(name: str, *, known: int) -> str:
    if not known:
        return "No instruments are known: pass instruments=Instruments.fetch(), or use tokens."
    if name.strip().isdigit():
        return f"A token is a number, not a text: {name.strip()}"
    if ":" not in name:
        return "A name has its exchange in front, as in 'NSE:INFY'."
    return ""


def _valid_token(value: object) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ConfigError("instrument", value, "a name such as 'NSE:INFY' or an integer token")
    token = operator.index(value)
    if not 0 < token <= MAX_TOKEN:
        raise ConfigError("instrument", token, f"a token from 1 to {MAX_TOKEN}")
    return token


def _plain(instruments: Any) -> Iterable[Any]:
    if isinstance(instruments, pl.DataFrame):
        column = next((c for c in ("instrument_token", "symbol") if c in instruments.columns), None)
        if column is None:
            raise ConfigError(
                "instruments", instruments.columns, "a frame with an instrument_token column"
            )
        instruments = instruments[column]
    if isinstance(instruments, np.ndarray):
        instruments = pl.Series(instruments.ravel())
    plain: Iterable[Any] = (
        instruments.to_list() if isinstance(instruments, pl.Series) else instruments
    )
    return plain
