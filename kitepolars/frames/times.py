"""The times of new rows against their arrival: what cannot be true becomes absent. Loop thread.

A packet whose exchange time is a day ahead would make every later tick look late, and one of 1970
would begin a day long ago. A snapshot's times may be old: an instrument may have traded last months
ago. They cannot be in the future, but for the difference of two clocks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.calendar import EARLIEST_TIME, SECOND
from kitepolars.frames.buffers import HAS_TIME
from kitepolars.frames.store import NewRows

MAX_AHEAD: Final = 15 * 60 * SECOND
"""Microseconds by which a time may be later than its arrival: more than clocks usually differ."""

MAX_SKEW: Final = 12 * 3_600 * SECOND
"""The largest lag of this machine's clock that is assumed: a time zone, not a day."""

MANY: Final = 16
"""Rows of which most must be ahead before it is this machine's clock that is wrong."""


class WrongTimes(NamedTuple):
    """Times of some rows that could not be true.

    Parameters
    ----------
    times
        How many.
    field
        The column of the first.
    instrument_token
        Its instrument.
    time, received_at
        What it said, and when it was read: microseconds since the Unix epoch, UTC.
    """

    times: int
    field: str
    instrument_token: int
    time: int
    received_at: int


class TimeCheck:
    """Finds impossible times, and measures how far the exchange's clock is ahead of ours."""

    def __init__(self) -> None:
        self.skew = 0
        """Microseconds by which the exchange's clock was found to be ahead of this machine's."""
        self._first = np.zeros(1, np.int64)

    @property
    def ahead(self) -> int:
        """Microseconds by which a time may be later than its arrival."""
        return MAX_AHEAD + self.skew

    def clear(self, rows: NewRows) -> list[WrongTimes]:
        """Make impossible times of rows absent, and return them, column by column.

        If most rows are ahead by at most `MAX_SKEW`, this machine's clock is slow: `skew` becomes
        their median, and they are right.
        """
        return [found for field in HAS_TIME if (found := self._clear(rows, field)) is not None]

    def _clear(self, rows: NewRows, field: str) -> WrongTimes | None:
        wrong = self._check(rows, field, clear=False)
        if not wrong:
            return None
        if 2 * wrong > len(rows.codes) >= MANY:
            skew = self._median_ahead(rows, field)
            self.skew = skew if skew <= MAX_SKEW else self.skew
            if not (wrong := self._check(rows, field, clear=False)):
                return None
        place = int(self._first[0])
        time = int(rows.column(field)[place])
        self._check(rows, field, clear=True)
        token, read_at = (rows.column(name)[place] for name in ("instrument_token", "received_at"))
        return WrongTimes(wrong, field, int(token), time, int(read_at))

    def _check(self, rows: NewRows, field: str, *, clear: bool) -> int:
        count: int = native.check_times(
            native.address(rows.codes),
            HAS_TIME[field],
            len(rows.codes),
            native.address(rows.column("received_at")),
            EARLIEST_TIME,
            self.ahead,
            clear,
            native.address(rows.column(field)),
            native.address(self._first),
        )
        return count

    def _median_ahead(self, rows: NewRows, field: str) -> int:
        times: npt.NDArray[np.int64] = rows.column(field)
        is_there = HAS_TIME[field].array[rows.codes].astype(np.bool_) & (times != 0)
        ahead = times[is_there] - rows.column("received_at")[is_there]
        return max(0, int(np.median(ahead)))
