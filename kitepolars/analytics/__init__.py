"""What a trader does next with ticks: pure functions of frames, on any thread."""

from kitepolars.analytics.bars import CANDLES, Clock, Hours
from kitepolars.analytics.book import (
    DEPTH,
    depth,
    depth_weighted_price,
    imbalance,
    microprice,
    mid,
    spread,
)
from kitepolars.analytics.candle_builder import ArrivalTimeWarning, CandleBuilder
from kitepolars.analytics.candles import candles
from kitepolars.analytics.display import FormattedFrame, flat, show
from kitepolars.analytics.indicators import (
    change,
    realised_volatility,
    returns,
    volume_delta,
    vwap,
)
from kitepolars.analytics.market import latest, movers
from kitepolars.analytics.namespace import KiteNamespace

__all__ = [
    "CANDLES",
    "DEPTH",
    "ArrivalTimeWarning",
    "CandleBuilder",
    "Clock",
    "FormattedFrame",
    "Hours",
    "KiteNamespace",
    "candles",
    "change",
    "depth",
    "depth_weighted_price",
    "flat",
    "imbalance",
    "latest",
    "microprice",
    "mid",
    "movers",
    "realised_volatility",
    "returns",
    "show",
    "spread",
    "volume_delta",
    "vwap",
]
