"""``kp.demo()``: a ticker with its own simulated Kite. Calling thread."""

from __future__ import annotations

import sys
import weakref
from functools import lru_cache
from typing import Final

from kitepolars.feed.account import Account
from kitepolars.feed.limits import Limits
from kitepolars.feed.manager import TickerManager
from kitepolars.instruments import Instruments, SomeInstruments
from kitepolars.sim import SimulatedKite
from kitepolars.ticker import Ticker
from kitepolars.ticker.runtime import Runtime
from kitepolars.wire.layouts import Mode

WATCH_LIST: Final = (
    "NSE:NIFTY 50",
    "NSE:NIFTY BANK",
    "NSE:RELIANCE",
    "NSE:HDFCBANK",
    "NSE:INFY",
    "NSE:SBIN",
    "NSE:TATAMOTORS",
    "NSE:ACC",
)
"""The instruments that a demonstration subscribes by default."""


_demonstrations: weakref.WeakSet[DemoTicker] = weakref.WeakSet()


@lru_cache(maxsize=1)  # instruments never change, so all demonstrations of a day share them
def _instruments(dump: bytes) -> Instruments:
    return Instruments.read_csv(dump)


class DemoTicker(Ticker):
    """A `Ticker` on an exchange that is simulated in this process.

    Parameters
    ----------
    exchange
        The simulated Kite. It starts and stops with the ticker, and can inject faults:
        ``ticker.exchange.abort()``.
    """

    hours = "any"  # the simulated exchange trades at any hour

    def __init__(self, exchange: SimulatedKite) -> None:
        self.exchange = exchange
        exchange.start()
        manager = TickerManager([Account("demo", *exchange.credentials)], url=exchange.url)
        runtime = Runtime(manager, ledger=manager.ledger, host=exchange)
        self._compose(
            runtime,
            instruments=_instruments(exchange.instruments_csv()),
            default_mode=Mode.FULL,
            limits=Limits(),
        )


def demo(
    *, instruments: SomeInstruments = WATCH_LIST, seed: int = 0, rate: float = 1.0
) -> DemoTicker:
    """Return a running ticker on a simulated Kite, without an account.

    In a notebook it replaces the previous demonstration, which is stopped, so that a cell can be
    run again.

    Parameters
    ----------
    instruments
        The instruments to subscribe, in full mode.
    seed
        Seed of the simulated market; the same seed gives the same prices.
    rate
        Ticks per second and instrument, 0 to 1,000.

    Returns
    -------
    DemoTicker
        A `Ticker` with an ``exchange``, the simulated Kite; ``stop()`` stops both.

    Raises
    ------
    UnknownInstrument
        If a name is not in the simulated list.
    ConfigError
        If `rate` is not from 0 to 1,000 ticks a second.

    Examples
    --------
    >>> with demo(instruments=["NSE:INFY"]) as ticker:
    ...     ticker.wait(rows=1, timeout=10)
    True
    """
    if _in_notebook():
        for before in tuple(_demonstrations):
            before._runtime.give_way()  # noqa: SLF001 - the same class
    ticker = DemoTicker(SimulatedKite(seed=seed, rate=rate))
    _demonstrations.add(ticker)
    try:
        ticker.subscribe(instruments)
        ticker.start()
    except BaseException:
        ticker.stop()
        raise
    return ticker


def _in_notebook() -> bool:
    """Return whether this is IPython, where cells are run repeatedly."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
