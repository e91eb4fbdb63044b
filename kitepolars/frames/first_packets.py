"""Which packets are cached values of the server, and which end a gap. Loop thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars.frames.store import NewRows

ANSWER: Final = 1_000_000
"""Microseconds after a subscription in which the server sends the values that it has cached."""


class FirstPackets:
    """Instruments whose next packet is a cached value, or ends a gap.

    Flags by slot, so that a batch of rows is looked up with array operations.
    """

    def __init__(self) -> None:
        self._subscribed_at = np.zeros(0, np.int64)  # 0: no cached value is expected
        self._is_lost = np.zeros(0, np.bool_)
        self._are_expected = self._are_lost = False  # any

    def expect(self, slots: npt.NDArray[np.int32], at: int) -> None:
        """Expect the next packet of each to be a value that the server had cached at a time."""
        self._make_room(slots)
        self._subscribed_at[slots] = at
        self._are_expected = True

    def lose(self, slots: npt.NDArray[np.int32]) -> None:
        """Report the next packet of each."""
        self._make_room(slots)
        self._is_lost[slots] = True
        self._are_lost = True

    def forget(self, slots: npt.NDArray[np.int32]) -> None:
        """Report no packet of these."""
        self._make_room(slots)
        self._is_lost[slots] = False

    def cached(self, rows: NewRows) -> npt.NDArray[np.bool_] | None:
        """Return which rows are cached values, or None if none is.

        The first packet after a subscription is one, unless its own exchange time and its arrival
        say that it happened later. Packets without an exchange time count as cached.
        """
        if not self._are_expected:
            return None
        self._make_room(rows.slots)
        candidates = np.flatnonzero(self._subscribed_at[rows.slots])
        if not len(candidates):
            return None
        slots, first = np.unique(rows.slots[candidates], return_index=True)
        firsts, subscribed_at = candidates[first], self._subscribed_at[slots]
        is_fresh = (rows.column("exchange_timestamp")[firsts] > subscribed_at) & (
            rows.column("received_at")[firsts] > subscribed_at + ANSWER
        )
        is_fresh &= rows.has_exchange_time()[firsts]
        self._subscribed_at[slots] = 0
        self._are_expected = bool(self._subscribed_at.any())
        is_snapshot = np.zeros(len(rows.slots), np.bool_)
        is_snapshot[firsts[~is_fresh]] = True
        return is_snapshot

    def found(self, rows: NewRows) -> Mapping[int, int]:
        """Return the instruments with a packet after a loss: token → when it was read."""
        if not self._are_lost:
            return {}
        self._make_room(rows.slots)
        candidates = np.flatnonzero(self._is_lost[rows.slots])
        if not len(candidates):
            return {}
        slots, first = np.unique(rows.slots[candidates], return_index=True)
        self._is_lost[slots] = False
        self._are_lost = bool(self._is_lost.any())
        firsts = candidates[first]
        tokens, times = rows.column("instrument_token")[firsts], rows.column("received_at")[firsts]
        return dict(zip(tokens.tolist(), times.tolist(), strict=True))

    def expected(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
        """Return the slots whose next packet counts as cached, and when each was subscribed."""
        slots = np.flatnonzero(self._subscribed_at)
        return slots, self._subscribed_at[slots]

    def _make_room(self, slots: npt.NDArray[np.int32]) -> None:
        new = int(slots.max(initial=-1)) + 1 - len(self._is_lost)
        if new > 0:
            more = max(new, len(self._is_lost))  # doubling: slots come one by one, too
            self._subscribed_at = np.concatenate([self._subscribed_at, np.zeros(more, np.int64)])
            self._is_lost = np.concatenate([self._is_lost, np.zeros(more, np.bool_)])
