"""Instruments: symbols, tokens, search, contracts, from the dump. Any thread."""

from kitepolars.instruments.catalogue import Instruments
from kitepolars.instruments.dump import RejectedRowsWarning
from kitepolars.instruments.names import Instrument, SomeInstruments

__all__ = ["Instrument", "Instruments", "RejectedRowsWarning", "SomeInstruments"]
