"""Kite Connect's live ticks as Polars DataFrames, in a Jupyter notebook.

>>> import kitepolars as kp
>>> with kp.demo(instruments=["NSE:INFY"]) as ticker:
...     _ = ticker.wait(rows=1, timeout=10)
...     ticker.latest()["symbol"].to_list()
['NSE:INFY']

Importing starts no thread and loads neither widgets nor the simulator.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from kitepolars._version import __version__
from kitepolars.errors import (
    AuthenticationError,
    CapacityExceeded,
    ConfigError,
    ConnectionLost,
    JournalError,
    KitePolarsError,
    NotRunning,
    UnknownInstrument,
)
from kitepolars.feed.account import Account
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.plan import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.frames.store import Retention
from kitepolars.instruments import Instruments
from kitepolars.nesting import allow_nested_asyncio, run
from kitepolars.pipeline import Flush
from kitepolars.ticker import Stats, Ticker
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from kitepolars.demonstration import DemoTicker, demo

__all__ = [
    "Account",
    "AuthenticationError",
    "CapacityExceeded",
    "ConfigError",
    "ConnectionLost",
    "DemoTicker",
    "Flush",
    "Instruments",
    "JournalError",
    "KitePolarsError",
    "Limits",
    "Mode",
    "NotRunning",
    "ReconnectPolicy",
    "Retention",
    "Stats",
    "Ticker",
    "TickerManager",
    "UnknownInstrument",
    "__version__",
    "allow_nested_asyncio",
    "demo",
    "run",
]

_LATE: Final = {
    "DemoTicker": "kitepolars.demonstration",
    "demo": "kitepolars.demonstration",
}
"""Public names whose modules are loaded on first use."""


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_LATE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
