"""Kite Connect's live ticks as Polars DataFrames, in a Jupyter notebook.

>>> import kitepolars as kp
>>> with kp.demo(instruments=["NSE:INFY"]) as ticker:
...     _ = ticker.wait(rows=1, timeout=10)
...     ticker.latest()["symbol"].to_list()
['NSE:INFY']

Importing loads what ``df.kite`` stands on: Polars, NumPy and the analytics. What opens
sockets, and whatever is heavier still, is loaded when a name of it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from kitepolars._version import __version__, show_versions
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
from kitepolars.analytics import technical as indicators
from kitepolars.errors import (
    AuthenticationError,
    CapacityExceeded,
    ConfigError,
    ConnectionLost,
    JournalError,
    KitePolarsError,
    NotLive,
    NotRunning,
    PartitionFailed,
    TableError,
    UnknownInstrument,
)
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from kitepolars.alerting.conditions import Crossing, crosses
    from kitepolars.alerting.messages import Desktop, Webhook
    from kitepolars.alerting.rows import ALERTS, FiredAlert
    from kitepolars.alerting.rules import alerts
    from kitepolars.cluster.mapping import map_days
    from kitepolars.days.publish import publish
    from kitepolars.days.scan import scan
    from kitepolars.demonstration import DemoTicker, demo
    from kitepolars.feed.account import Account
    from kitepolars.feed.limits import Limits
    from kitepolars.feed.manager import TickerManager
    from kitepolars.feed.reconnect import ReconnectPolicy
    from kitepolars.frames.store import Retention
    from kitepolars.instruments import Instruments
    from kitepolars.ledger.gaps import Gap
    from kitepolars.ledger.orders import OrderUpdate
    from kitepolars.nesting import allow_nested_asyncio, run
    from kitepolars.pipeline import Flush, Message
    from kitepolars.playback import ReplayTicker, attach, replay, sample
    from kitepolars.recordings.frames import read_journal
    from kitepolars.rest import Session, generate_session, historical, login_url
    from kitepolars.source import Event
    from kitepolars.ticker import Stats, Ticker, TickHistory
    from kitepolars.ticker.alert import Alert
    from kitepolars.ticker.older_candles import historical_candles, recorded_candles
    from kitepolars.wire.views import PacketRun, packets

__all__ = [
    "ALERTS",
    "CANDLES",
    "Account",
    "Alert",
    "ArrivalTimeWarning",
    "AuthenticationError",
    "CandleBuilder",
    "CapacityExceeded",
    "ConfigError",
    "ConnectionLost",
    "Crossing",
    "DemoTicker",
    "Desktop",
    "Event",
    "FiredAlert",
    "Flush",
    "Gap",
    "Instruments",
    "JournalError",
    "KitePolarsError",
    "Limits",
    "Message",
    "Mode",
    "NotLive",
    "NotRunning",
    "OrderUpdate",
    "PacketRun",
    "PartitionFailed",
    "ReconnectPolicy",
    "ReplayTicker",
    "Retention",
    "Session",
    "Stats",
    "TableError",
    "TickHistory",
    "Ticker",
    "TickerManager",
    "UnknownInstrument",
    "Webhook",
    "__version__",
    "alerts",
    "allow_nested_asyncio",
    "attach",
    "candles",
    "change",
    "crosses",
    "demo",
    "depth",
    "depth_weighted_price",
    "generate_session",
    "historical",
    "historical_candles",
    "imbalance",
    "indicators",
    "latest",
    "login_url",
    "map_days",
    "microprice",
    "mid",
    "movers",
    "packets",
    "publish",
    "read_journal",
    "realised_volatility",
    "recorded_candles",
    "replay",
    "returns",
    "run",
    "sample",
    "scan",
    "show_versions",
    "spread",
    "volume_delta",
    "vwap",
]

_LOADED_LATE: Final = {
    "ALERTS": "kitepolars.alerting.rows",
    "Account": "kitepolars.feed.account",
    "Alert": "kitepolars.ticker.alert",
    "Crossing": "kitepolars.alerting.conditions",
    "DemoTicker": "kitepolars.demonstration",
    "Desktop": "kitepolars.alerting.messages",
    "Event": "kitepolars.source",
    "FiredAlert": "kitepolars.alerting.rows",
    "Flush": "kitepolars.pipeline",
    "Gap": "kitepolars.ledger.gaps",
    "Instruments": "kitepolars.instruments",
    "Limits": "kitepolars.feed.limits",
    "Message": "kitepolars.pipeline",
    "OrderUpdate": "kitepolars.ledger.orders",
    "PacketRun": "kitepolars.wire.views",
    "ReconnectPolicy": "kitepolars.feed.reconnect",
    "ReplayTicker": "kitepolars.playback",
    "Retention": "kitepolars.frames.store",
    "Session": "kitepolars.rest",
    "Stats": "kitepolars.ticker",
    "TickHistory": "kitepolars.ticker",
    "Ticker": "kitepolars.ticker",
    "TickerManager": "kitepolars.feed.manager",
    "Webhook": "kitepolars.alerting.messages",
    "alerts": "kitepolars.alerting.rules",
    "allow_nested_asyncio": "kitepolars.nesting",
    "attach": "kitepolars.playback",
    "crosses": "kitepolars.alerting.conditions",
    "demo": "kitepolars.demonstration",
    "generate_session": "kitepolars.rest",
    "historical": "kitepolars.rest",
    "historical_candles": "kitepolars.ticker.older_candles",
    "login_url": "kitepolars.rest",
    "map_days": "kitepolars.cluster.mapping",
    "packets": "kitepolars.wire.views",
    "publish": "kitepolars.days.publish",
    "read_journal": "kitepolars.recordings.frames",
    "recorded_candles": "kitepolars.ticker.older_candles",
    "replay": "kitepolars.playback",
    "run": "kitepolars.nesting",
    "sample": "kitepolars.playback",
    "scan": "kitepolars.days.scan",
}
"""Public name → the module that is loaded when the name is first used."""


if not TYPE_CHECKING:  # with it, a type checker would take any word for a public name

    def __getattr__(name: str) -> object:
        if name not in _LOADED_LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_LOADED_LATE[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
