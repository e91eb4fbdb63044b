"""Ticks in any order → the row groups of a file, in the order of the file. Pure; any thread.

Only which row comes where is sorted, in passes over numbers of two bytes. The rows themselves are
copied once, a row group at a time: into memory that is used again for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.calendar import SECOND

ROW_GROUP: Final = 50_000
"""Rows of a group, about: a question about one instrument reads one or two."""

ONE_MINUTE: Final = 60 * SECOND

_DIGIT: Final = 16
"""Bits that are sorted in one pass, which NumPy does without comparisons."""

_Places = npt.NDArray[np.intp]


def in_instrument_order(ticks: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield row groups by instrument and arrival; none that fits into one is in two of them.

    Parameters
    ----------
    ticks
        The columns of a table; those of each recorder in arrival order.
    """
    ticks = ticks.rechunk()
    rows = _places_of(_arrival(ticks))
    for start, stop in _instrument_groups(ticks["instrument_token"].to_numpy()[rows]):
        yield _taken(ticks, rows[start:stop])


def in_minute_order(ticks: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield row groups by minute, then as `in_instrument_order`; a group has one minute.

    Parameters
    ----------
    ticks
        The columns of a table; those of each recorder in arrival order.
    """
    ticks = ticks.rechunk()
    minutes = ticks["received_at"].to_physical().to_numpy() // ONE_MINUTE
    rows = _places_of([minutes, *_arrival(ticks)])
    tokens = ticks["instrument_token"].to_numpy()[rows]
    begins = np.flatnonzero(np.diff(minutes[rows])) + 1
    for begin, end in pairwise([0, *begins.tolist(), len(rows)]):
        for start, stop in _instrument_groups(tokens[begin:end]):
            yield _taken(ticks, rows[begin + start : begin + stop])


def _arrival(ticks: pl.DataFrame) -> list[npt.NDArray[Any]]:
    """Return the keys of a stable sort by instrument and arrival of ticks in a recorder's order.

    Only the clock tells the order of ticks of several recorders.
    """
    several = ticks["recorder"].n_unique() > 1
    names = ["instrument_token", "received_at"] if several else ["instrument_token"]
    return [ticks[name].to_physical().to_numpy() for name in names]


def _places_of(keys: list[npt.NDArray[Any]]) -> _Places:
    """Return the rows by keys, the first of which matters most; equal ones stay in their order."""
    rows = np.arange(len(keys[0]))
    for key in reversed(keys):
        rest = key - key.min() if len(key) else key
        for shift in range(0, int(rest.max(initial=0)).bit_length(), _DIGIT):
            digit = (rest >> shift).astype(np.uint16)
            rows = rows[np.argsort(digit[rows], kind="stable")]
    return rows


def _instrument_groups(tokens: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Cut sorted tokens where an instrument begins, into ranges of about `ROW_GROUP` rows."""
    begins = np.append(np.flatnonzero(np.diff(tokens)) + 1, len(tokens))
    start = 0
    while start < len(tokens):
        # the last begin within the size; where an instrument alone exceeds it, the size
        place = int(np.searchsorted(begins, start + ROW_GROUP, side="right")) - 1
        stop = int(begins[place]) if place >= 0 else 0
        if stop <= start:
            stop = min(start + ROW_GROUP, len(tokens))
        yield start, stop
        start = stop


def _taken(ticks: pl.DataFrame, rows: _Places) -> pl.DataFrame:
    return ticks[pl.Series(rows, dtype=pl.get_index_type())]
