"""Record the sample that comes with the package: ``python benchmarks/record_sample.py``.

Eight minutes of a simulated market on made-up time, without a socket: the same bytes each time. It
has an order and a gap, so that every method has something to show.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from typing import Final

import polars as pl

from kitepolars import Instruments, Mode
from kitepolars.calendar import IST
from kitepolars.demonstration import WATCH_LIST
from kitepolars.journal.compression import compress
from kitepolars.journal.segments import segments
from kitepolars.journal.writer import JournalWriter
from kitepolars.playback import SAMPLE
from kitepolars.server.clients import Subscriptions
from kitepolars.sim.exchange import Exchange, order
from kitepolars.sim.instruments import generate_instruments
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Event,
    Heartbeats,
    Listing,
    Lost,
    Messages,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
)
from kitepolars.wire import control

BEGIN: Final = dt.datetime(2026, 11, 20, 10, 0, tzinfo=IST)
SECONDS: Final = 480
NIFTY: Final = 256265
STRIKES: Final = 4
"""Of NIFTY's nearest expiry, around the money."""

ORDER_AT: Final = 120
LOST_AT, BACK_AT = 240, 252
LEVEL: Final = 19


def main() -> None:
    """Make the sample anew."""
    with tempfile.TemporaryDirectory() as folder:
        clock = BEGIN.timestamp()
        with JournalWriter(folder, clock=lambda: round(clock * 1e6)) as writer:
            record(writer)
        [segment] = segments(folder)
        compressed = compress(segment.path, LEVEL)
        SAMPLE.parent.mkdir(exist_ok=True)
        shutil.copyfile(compressed, SAMPLE)
    print(f"{SAMPLE}: {SAMPLE.stat().st_size:,} bytes")


def record(writer: JournalWriter) -> None:
    """Write what a live ticker would have received."""
    begin = BEGIN.timestamp()
    master = generate_instruments(on=BEGIN.date(), seed=0)
    everything = Instruments.read_csv(master.dump_csv())
    exchange = Exchange(master, now=begin, seed=7, rate=0.5, packets_per_message=3_000)
    spot = exchange.market.last_values(master.row_of[NIFTY])["last_price"] / 100
    chain = everything.option_chain("NIFTY").sort((pl.col("strike") - spot).abs())
    tokens = everything.tokens(WATCH_LIST) + everything.tokens(chain.head(STRIKES))
    listed = everything.frame.filter(everything.frame["instrument_token"].is_in(tokens))

    def at(second: float) -> int:
        return round((begin + second) * 1e6)

    client = Subscriptions(0, "key", "AB1234", limit=3_000)
    writer.take(Listing(at(0), Instruments(listed).to_csv()))
    writer.take(Subscribed(at(0), Mode.FULL, tuple(tokens)))
    _open(writer, at(0), tokens, reconnects=0)
    client.receive(control.subscribe(tokens))
    client.receive(control.set_mode(Mode.FULL, tokens))
    for tenth in range(10 * SECONDS):
        second = tenth / 10
        exchange.advance(0.1, [client], begin + second)
        sent = exchange.collect(client)
        if LOST_AT <= second < BACK_AT:
            continue
        if second == BACK_AT:
            _lose(writer, at(LOST_AT), at(LOST_AT + 5), tokens)
            _open(writer, at(second), tokens, reconnects=1)
            client.snapshots_owed.update(tokens)
        if second == ORDER_AT:
            for status in ("OPEN", "COMPLETE"):
                text = order("AB1234", "261120000000001", begin + second, {"status": status})
                writer.take(Text(at(second), 0, text))
        if sent:
            writer.take(Messages(at(second), 0, [message for _, message in sent]))
        elif tenth % 10 == 0:
            writer.take(Heartbeats(at(second), 0, 1))
    writer.take(Stopped(at(SECONDS)))


def _open(writer: JournalWriter, at: int, tokens: list[int], *, reconnects: int) -> None:
    url, count = "wss://ws.kite.trade/", len(tokens)
    state = ConnectionChanged(at, 0, "sample", ConnectionState.OPEN, url, count, reconnects)
    writer.take(state)
    writer.take(Event(at, 0, "connected", f"{count} instruments to subscribe"))
    writer.take(SnapshotsExpected(at, 0, tuple(tokens)))


def _lose(writer: JournalWriter, since: int, at: int, tokens: list[int]) -> None:
    reason = "silent for 5.0 s"
    writer.take(Lost(at, 0, "sample", since, reason, tuple(tokens)))
    url = "wss://ws.kite.trade/"
    state = ConnectionState.WAITING
    writer.take(ConnectionChanged(at, 0, "sample", state, url, len(tokens), 0))
    writer.take(Event(at, 0, "disconnected", f"{reason}; next attempt in 1.0 s"))


if __name__ == "__main__":
    main()
