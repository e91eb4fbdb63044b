"""What goes out when: the market's packets for each session, cycle by cycle.

No socket and no clock of its own; runs on the simulator's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from kitepolars.sim.market import Market
from kitepolars.sim.master import InstrumentMaster
from kitepolars.sim.session import Session
from kitepolars.wire.encode import encode_messages, encode_packets
from kitepolars.wire.layouts import LAYOUTS, SEGMENT_MASK, SEGMENTS, layout_for

__all__ = ["Exchange"]

_INDEX_CODES: Final = frozenset(code for code, known in SEGMENTS.items() if not known.tradable)


class _Selection:
    """A session's instruments as arrays, made anew when its subscriptions change."""

    def __init__(self, session: Session, master: InstrumentMaster) -> None:
        self.version = session.version
        known = [(master.row_of[token], token) for token in session.modes if token in master.row_of]
        self.rows = np.array([row for row, _ in known], np.intp)
        self.layouts = np.array(
            [
                layout_for(session.modes[token], index=token & SEGMENT_MASK in _INDEX_CODES).code
                for _, token in known
            ],
            np.intp,
        )


class Exchange:
    """The market and its clockwork.

    Parameters
    ----------
    master
        What is listed.
    now
        When the simulation begins, in UTC epoch seconds.
    seed
        Of the market and of the instruments' phases.
    rate
        Packets per second and instrument; 0 stands still but for `step`.
    packets_per_message
        The most packets in one message.
    """

    def __init__(
        self,
        master: InstrumentMaster,
        *,
        now: float,
        seed: int,
        rate: float,
        packets_per_message: int,
    ) -> None:
        self.master = master
        self.market = Market(master, now=now, seed=seed)
        self._rate = rate
        self._packets_per_message = packets_per_message
        self._phase = np.random.default_rng((seed, 2)).random(len(master))
        self._periods = 0.0
        self._due = np.zeros(len(master), np.bool_)
        self._selections: dict[int, _Selection] = {}

    def advance(self, seconds: float, sessions: Iterable[Session], now: float) -> None:
        """Let the market run on; `collect` then has the packets of what is due.

        Each instrument has its phase, so that they do not all come at once.
        """
        before = np.floor(self._periods + self._phase)
        self._periods += seconds * self._rate
        self._due = np.floor(self._periods + self._phase) > before
        self._move(seconds, sessions, now)

    def step(self, seconds: float, sessions: Iterable[Session], now: float) -> None:
        """Let every subscribed instrument tick once."""
        self._due = np.ones(len(self.master), np.bool_)
        self._move(seconds, sessions, now)

    def rest(self) -> None:
        """Let nothing be due: only snapshots go out."""
        self._due = np.zeros(len(self.master), np.bool_)

    def _move(self, seconds: float, sessions: Iterable[Session], now: float) -> None:
        subscribed = np.zeros(len(self.master), np.bool_)
        for session in sessions:
            subscribed[self._select(session).rows] = True
        self._due &= subscribed
        self.market.advance(seconds)
        self.market.tick(np.flatnonzero(self._due), now)

    def collect(self, session: Session) -> list[tuple[int, bytes]]:
        """Return the messages for a session, each with its count of packets.

        The cached snapshots that it is owed are among them, in the modes of
        this moment.
        """
        selection = self._select(session)
        wanted = self._due[selection.rows]
        if session.snapshots_owed:
            tokens = self.master.instrument_token[selection.rows]
            wanted |= np.isin(tokens, np.fromiter(session.snapshots_owed, np.int64))
            session.snapshots_owed.clear()
        rows, layouts = selection.rows[wanted], selection.layouts[wanted]
        if not len(rows):
            return []
        framed = []
        for layout in LAYOUTS:
            chosen = rows[layouts == layout.code]
            if len(chosen):
                fields = (*layout.fields, *(_DEPTH_FIELDS if layout.depth else ()))
                columns = {field: self.market.columns[field][chosen] for field in fields}
                framed.append(encode_packets(layout, columns))
        return encode_messages(framed, max_packets=self._packets_per_message)

    def forget(self, session: Session) -> None:
        """Drop what is kept for a session that has ended."""
        self._selections.pop(session.connection, None)

    def _select(self, session: Session) -> _Selection:
        selection = self._selections.get(session.connection)
        if selection is None or selection.version != session.version:
            selection = self._selections[session.connection] = _Selection(session, self.master)
        return selection


_DEPTH_FIELDS: Final = tuple(
    f"{side}_{part}" for side in ("bid", "ask") for part in ("price", "quantity", "orders")
)
