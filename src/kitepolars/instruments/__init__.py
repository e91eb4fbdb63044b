"""Owns what is known of instruments: symbols, tokens, search, option chains; on any thread."""

from kitepolars.instruments.catalogue import Instrument, Instruments, SomeInstruments
from kitepolars.instruments.dump import RejectedRowsWarning

__all__ = ["Instrument", "Instruments", "RejectedRowsWarning", "SomeInstruments"]
