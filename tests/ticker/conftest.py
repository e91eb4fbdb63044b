"""A simulated Kite whose market stands still, and tickers that are stopped afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kitepolars as kp
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

INFY, SBIN, NIFTY = 408065, 779521, 256265

MakeTicker = Callable[..., kp.Ticker]


@pytest.fixture(scope="session")
def instruments() -> kp.Instruments:
    return kp.Instruments.read_csv(SimulatedKite().instruments_csv())


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    """Ticks come with `step()` only; `rate=0` keeps the market still."""
    with SimulatedKite(rate=0, interval=0.01, heartbeat=0.1) as kite:
        yield kite


@pytest.fixture
def make_ticker(kite: SimulatedKite, instruments: kp.Instruments) -> Iterator[MakeTicker]:
    made: list[kp.Ticker] = []

    def make(**settings: Any) -> kp.Ticker:
        defaults: dict[str, Any] = {
            "url": kite.url,
            "instruments": instruments,
            "reconnect": kp.ReconnectPolicy(initial_delay=0.01, max_delay=0.1),
        }
        if "accounts" not in settings:
            defaults |= {"api_key": "key", "access_token": "token"}
        made.append(kp.Ticker(**(defaults | settings)))
        return made[-1]

    yield make
    for ticker in made:
        ticker.stop()
    left = [thread for thread in threading.enumerate() if "kitepolars" in thread.name]
    for thread in left:
        if not thread.name.startswith("kitepolars-sim"):
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread.name


@pytest.fixture
def ticker(make_ticker: MakeTicker) -> kp.Ticker:
    """Return a running ticker without subscriptions."""
    return make_ticker().start()


@pytest.fixture
def subscribed(ticker: kp.Ticker, kite: SimulatedKite) -> kp.Ticker:
    tokens = [INFY, SBIN, NIFTY]
    ticker.subscribe(tokens, mode="full")
    assert kite.wait_for(lambda kite: kite.subscribed() == dict.fromkeys(tokens, "full"))
    assert ticker.wait(rows=3, timeout=PATIENCE)
    return ticker


def step(ticker: kp.Ticker, kite: SimulatedKite, times: int = 1) -> None:
    rows = ticker.frame().height
    for _ in range(times):
        kite.step()
    assert ticker.wait(rows=rows + 3 * times, timeout=PATIENCE)
