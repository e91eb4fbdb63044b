"""A recorded day: a simulated Kite, a ticker on it that records, and what it had in the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

INFY, SBIN, NIFTY = 408065, 779521, 256265


@dataclass(frozen=True)
class Recorded:
    """What a live ticker had when it was stopped, and where its recording is."""

    folder: Path
    frame: pl.DataFrame
    orders: pl.DataFrame
    gaps: pl.DataFrame
    events: pl.DataFrame
    connections: pl.DataFrame
    subscriptions: pl.DataFrame
    stats: kp.Stats
    candles: pl.DataFrame


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Record a market with snapshots, mode changes, orders, malformed packets and a gap."""
    folder = tmp_path_factory.mktemp("recorded") / "ticks"
    with SimulatedKite(rate=0, interval=0.01, heartbeat=0.1) as kite:
        ticker = kp.Ticker(
            "key",
            "token",
            url=kite.url,
            instruments=kp.Instruments.read_csv(kite.instruments_csv()),
            reconnect=kp.ReconnectPolicy(initial_delay=0.01, max_delay=0.1),
        )
        recorder = ticker.record(folder)
        ticker.subscribe([INFY, NIFTY], mode="full")
        with ticker:
            _receive(kite, ticker, 30)
            ticker.subscribe([SBIN], mode="ltp")
            kite.wait_for(lambda kite: len(kite.subscribed()) == 3)
            kite.order_update(order_id="1", status="OPEN")
            kite.order_update(order_id="1", status="COMPLETE")
            kite.send(bytes.fromhex("0001 0003 010203"))
            _receive(kite, ticker, 30)
            kite.abort()
            kite.wait_for(lambda kite: len(kite.subscribed()) == 3)
            _receive(kite, ticker, 30)
            ticker.set_mode([SBIN], "quote")
            kite.wait_for(lambda kite: kite.subscribed()[SBIN] == "quote")
            ticker.unsubscribe([NIFTY])
            kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
            ticker.note("strategy", "bought")
            _receive(kite, ticker, 30)
            assert ticker.wait(until=lambda t: t.orders().height == 2, timeout=PATIENCE)
        recorder.end()
    return Recorded(
        folder,
        ticker.frame(),
        ticker.orders(),
        ticker.gaps(),
        ticker.events(),
        ticker.connections(),
        ticker.subscriptions(),
        ticker.stats(),
        ticker.candles("1s", on="received_at"),
    )


def _receive(kite: SimulatedKite, ticker: kp.Ticker, steps: int) -> None:
    """Let the market tick, and wait until all of it has arrived."""
    for _ in range(steps):
        expected = ticker.stats().ticks + kite.step()

        def arrived(ticker: kp.Ticker, expected: int = expected) -> bool:
            return ticker.stats().ticks >= expected

        assert ticker.wait(until=arrived, timeout=PATIENCE)
