"""What Kite sends and when: the packets of each client, cycle by cycle, and text messages.

No socket and no clock; the simulator's loop thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.calendar import IST
from kitepolars.server.clients import Subscriptions
from kitepolars.server.endpoint import text_message
from kitepolars.sim.market import MarketModel
from kitepolars.sim.master import InstrumentMaster
from kitepolars.wire.encode import encode_messages, encode_packets
from kitepolars.wire.layouts import DEPTH_FIELDS, LAYOUTS, SEGMENT_MASK, SEGMENTS, layout_for

__all__ = ["Exchange", "instruments_meta", "order"]

_INDEX_CODES: Final = frozenset(code for code, known in SEGMENTS.items() if not known.tradable)


class _Selection:
    """The instruments of a client as arrays, rebuilt when its subscriptions change."""

    def __init__(self, subscriptions: Subscriptions, master: InstrumentMaster) -> None:
        self.version = subscriptions.version
        modes = subscriptions.modes
        known = [(master.row_of[token], token) for token in modes if token in master.row_of]
        self.rows = np.array([row for row, _ in known], np.intp)
        self.layouts = np.array(
            [
                layout_for(modes[token], index=token & SEGMENT_MASK in _INDEX_CODES).code
                for _, token in known
            ],
            np.intp,
        )


class Exchange:
    """The market, and the cycle in which its packets are sent.

    Parameters
    ----------
    master
        The instruments listed.
    now
        The start of the simulation in UTC epoch seconds.
    seed
        Seed of the market and of the phases of the instruments.
    rate
        Packets per second and instrument; at 0 only `step` moves the market.
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
        self.market = MarketModel(master, now=now, seed=seed)
        self._rate = rate
        self._packets_per_message = packets_per_message
        self._phase = np.random.default_rng((seed, 2)).random(len(master))
        self._periods = 0.0
        self._due = np.zeros(len(master), np.bool_)
        self._selections: dict[int, _Selection] = {}

    def advance(self, seconds: float, clients: Iterable[Subscriptions], now: float) -> None:
        """Advance the market; `collect` then returns the packets that are due.

        Instruments have different phases, so that they are not all due in the same cycle.
        """
        before = np.floor(self._periods + self._phase)
        self._periods += seconds * self._rate
        self._due = np.floor(self._periods + self._phase) > before
        self._move(seconds, clients, now)

    def step(self, seconds: float, clients: Iterable[Subscriptions], now: float) -> None:
        """Make every subscribed instrument tick once."""
        self._due = np.ones(len(self.master), np.bool_)
        self._move(seconds, clients, now)

    def rest(self) -> None:
        """Make nothing due: only snapshots are sent."""
        self._due = np.zeros(len(self.master), np.bool_)

    def _move(self, seconds: float, clients: Iterable[Subscriptions], now: float) -> None:
        subscribed = np.zeros(len(self.master), np.bool_)
        for client in clients:
            subscribed[self._select(client).rows] = True
        self._due &= subscribed
        self.market.advance(seconds)
        self.market.tick(np.flatnonzero(self._due), now)

    def collect(self, client: Subscriptions) -> list[tuple[int, bytes]]:
        """Return the messages for a client, each with its number of packets.

        They include the snapshots that the client is owed, in the current modes.
        """
        selection = self._select(client)
        wanted = self._due[selection.rows]
        if client.snapshots_owed:
            tokens = self.master.instrument_token[selection.rows]
            wanted |= np.isin(tokens, np.fromiter(client.snapshots_owed, np.int64))
            client.snapshots_owed.clear()
        rows, layouts = selection.rows[wanted], selection.layouts[wanted]
        if not len(rows):
            return []
        framed = []
        for layout in LAYOUTS:
            chosen = rows[layouts == layout.code]
            if len(chosen):
                fields = (*layout.fields, *(DEPTH_FIELDS if layout.depth else ()))
                framed.append(encode_packets(layout, self.market.values(chosen, fields)))
        return encode_messages(framed, max_packets=self._packets_per_message)

    def forget(self, client: Subscriptions) -> None:
        """Drop what is cached for a client that has left."""
        self._selections.pop(client.connection, None)

    def _select(self, client: Subscriptions) -> _Selection:
        selection = self._selections.get(client.connection)
        if selection is None or selection.version != client.version:
            selection = self._selections[client.connection] = _Selection(client, self.master)
        return selection


_FILLED_ORDER: Final[dict[str, Any]] = {
    "unfilled_quantity": 0,
    "app_id": 1234,
    "checksum": "",
    "exchange_order_id": "1000000001482421",
    "parent_order_id": None,
    "status": "COMPLETE",
    "status_message": None,
    "status_message_raw": None,
    "variety": "regular",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "instrument_token": 408065,
    "order_type": "MARKET",
    "transaction_type": "BUY",
    "validity": "DAY",
    "product": "CNC",
    "quantity": 1,
    "disclosed_quantity": 0,
    "price": 0,
    "trigger_price": 0,
    "average_price": 1573.7,
    "filled_quantity": 1,
    "pending_quantity": 0,
    "cancelled_quantity": 0,
    "market_protection": 0,
    "meta": {},
    "tag": None,
    "guid": "01XXXXXXXXXXXXX",
}
"""A filled market order as the socket sends it: with ``account_id`` and an empty checksum."""


def instruments_meta(instrument_tokens: npt.NDArray[np.int64]) -> str:
    """Return the first message of a connection: how many instruments are listed, and a checksum."""
    count = len(instrument_tokens)
    etag = f'W/"{zlib.crc32(instrument_tokens.tobytes()):08x}-{count:x}"'
    return text_message({"type": "instruments_meta", "data": {"count": count, "etag": etag}})


def order(user_id: str, order_id: str, now: float, fields: dict[str, Any]) -> str:
    """Return an order update; ``fields`` replace or extend those of a filled market order."""
    moment = datetime.fromtimestamp(int(now), UTC).astimezone(IST)
    local = f"{moment:%Y-%m-%d %H:%M:%S}"  # Kite sends times of orders without an offset
    times = dict.fromkeys(
        ("order_timestamp", "exchange_update_timestamp", "exchange_timestamp"), local
    )
    who = {"account_id": user_id, "placed_by": user_id, "order_id": order_id}
    return text_message(
        {"type": "order", "id": "", "data": {**who, **_FILLED_ORDER, **times, **fields}}
    )
