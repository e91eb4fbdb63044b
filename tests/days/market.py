"""A journal of a simulated market on made-up time, made quickly and without a socket."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from kitepolars import Instruments, Mode
from kitepolars.calendar import IST
from kitepolars.journal.writer import JournalWriter
from kitepolars.server.clients import Subscriptions
from kitepolars.sim.exchange import Exchange, order
from kitepolars.sim.instruments import generate_instruments
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Event,
    Listing,
    Lost,
    Messages,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
)
from kitepolars.wire import control

DAY: Final = dt.date(2026, 11, 20)
INFY, SBIN, NIFTY = 408065, 779521, 256265
NAMES: Final = {INFY: "NSE:INFY", SBIN: "NSE:SBIN", NIFTY: "NSE:NIFTY 50"}


def record_market(
    folder: Path,
    *,
    day: dt.date = DAY,
    begin: dt.time = dt.time(9, 28),
    seconds: int = 240,
    tokens: tuple[int, ...] = (INFY, SBIN, NIFTY),
    seed: int = 7,
    is_stopped: bool = True,
    segment_bytes: int = 20_000,
) -> None:
    """Record a tick a second of each instrument, an order, and a gap of ten seconds."""
    start = dt.datetime.combine(day, begin, IST).timestamp()
    clock = start
    master = generate_instruments(on=day, seed=0)
    exchange = Exchange(master, now=start, seed=seed, rate=0.0, packets_per_message=2)
    client = Subscriptions(0, "key", "AB1234", limit=3_000)
    everything = Instruments.read_csv(master.dump_csv())
    listed = everything.frame.filter(everything.frame["instrument_token"].is_in(list(tokens)))

    def at(second: float) -> int:
        return round((start + second) * 1e6)

    with JournalWriter(
        folder, clock=lambda: round(clock * 1e6), segment_bytes=segment_bytes
    ) as writer:
        writer.take(Listing(at(0), Instruments(listed).to_csv()))
        writer.take(Subscribed(at(0), Mode.FULL, tokens))
        url = "wss://ws.kite.trade/"
        writer.take(ConnectionChanged(at(0), 0, "one", ConnectionState.OPEN, url, len(tokens), 0))
        writer.take(Event(at(0), 0, "connected", "three instruments"))
        writer.take(SnapshotsExpected(at(0), 0, tokens))
        client.receive(control.subscribe([*tokens]))
        client.receive(control.set_mode(Mode.FULL, [*tokens]))
        for second in range(seconds):
            clock = start + second
            exchange.step(1.0, [client], clock)
            sent = exchange.collect(client)
            if second == 100:
                writer.take(Lost(at(100), 0, "one", at(99), "silent for 5.0 s", tokens))
            if 100 <= second < 110:
                continue
            if second == 50:
                text = order("AB1234", "261120000000001", clock, {"status": "OPEN"})
                writer.take(Text(at(second), 0, text))
            for place, (_, message) in enumerate(sent):
                writer.take(Messages(at(second) + 1_000 * place, 0, [message]))
        if is_stopped:
            writer.take(Stopped(at(seconds)))
