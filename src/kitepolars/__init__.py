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
from kitepolars.analytics import (
    CANDLES,
    ArrivalTimeWarning,
    CandleBuilder,
    candles,
    change,
    depth,
    depth_weighted_price,
    imbalance,
    latest,
    microprice,
    mid,
    movers,
    realised_volatility,
    returns,
    spread,
    volume_delta,
    vwap,
)
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
from kitepolars.feed.records import Event, Gap, Message, OrderUpdate
from kitepolars.frames.store import Retention
from kitepolars.instruments import Instruments
from kitepolars.nesting import allow_nested_asyncio, run
from kitepolars.pipeline import Flush
from kitepolars.ticker import Stats, Ticker
from kitepolars.wire.layouts import Mode
from kitepolars.wire.views import PacketRun, packets

if TYPE_CHECKING:
    from kitepolars.demonstration import DemoTicker, demo
    from kitepolars.rest import Session, generate_session, historical, login_url

__all__ = [
    "CANDLES",
    "Account",
    "ArrivalTimeWarning",
    "AuthenticationError",
    "CandleBuilder",
    "CapacityExceeded",
    "ConfigError",
    "ConnectionLost",
    "DemoTicker",
    "Event",
    "Flush",
    "Gap",
    "Instruments",
    "JournalError",
    "KitePolarsError",
    "Limits",
    "Message",
    "Mode",
    "NotRunning",
    "OrderUpdate",
    "PacketRun",
    "ReconnectPolicy",
    "Retention",
    "Session",
    "Stats",
    "Ticker",
    "TickerManager",
    "UnknownInstrument",
    "__version__",
    "allow_nested_asyncio",
    "candles",
    "change",
    "demo",
    "depth",
    "depth_weighted_price",
    "generate_session",
    "historical",
    "imbalance",
    "latest",
    "login_url",
    "microprice",
    "mid",
    "movers",
    "packets",
    "realised_volatility",
    "returns",
    "run",
    "spread",
    "volume_delta",
    "vwap",
]

_LATE: Final = {
    "DemoTicker": "kitepolars.demonstration",
    "Session": "kitepolars.rest",
    "demo": "kitepolars.demonstration",
    "generate_session": "kitepolars.rest",
    "historical": "kitepolars.rest",
    "login_url": "kitepolars.rest",
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
