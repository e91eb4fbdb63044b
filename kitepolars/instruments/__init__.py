"""Owns what is known of instruments: symbols, tokens, search, option chains; on any thread."""

from kitepolars.instruments.catalogue import Instruments
from kitepolars.instruments.dump import RejectedRowsWarning
from kitepolars.instruments.naming import Instrument, SomeInstruments

__all__ = ["Instrument", "Instruments", "RejectedRowsWarning", "SomeInstruments"]
