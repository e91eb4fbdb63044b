"""What a trader does next with ticks: pure functions of frames, on any thread."""

from kitepolars.analytics.builder import CandleBuilder
from kitepolars.analytics.candles import ArrivalTimeWarning, candles
from kitepolars.analytics.schema import CANDLES

__all__ = ["CANDLES", "ArrivalTimeWarning", "CandleBuilder", "candles"]
