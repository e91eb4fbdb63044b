"""What a list of 117,000 instruments takes: reading, finding a chain, and a search per key."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Final

import polars as pl

import harness
from kitepolars import Instruments
from kitepolars.sim import SimulatedKite
from timing import processor_time

ROWS: Final = 117_000  # Kite's own list, in 2026
QUERIES: Final = ("nifty 1 dec 26000 ce", "banknifty 58 pe", "relianec", "24", "hdfc bank fut")


def listing(rows: int) -> bytes:
    """Return the simulator's list, repeated under other names and tokens to a number of rows."""
    frame = Instruments.read_csv(SimulatedKite().instruments_csv()).frame.drop("symbol")
    copies = [
        frame.with_columns(
            pl.col("instrument_token") + copy * (1 << 28),
            pl.format("{}{}", pl.col("tradingsymbol"), pl.lit("X" * copy)),
        )
        for copy in range(-(-rows // frame.height))
    ]
    return pl.concat(copies).head(rows).write_csv().encode()


def measure(results: harness.Results) -> None:
    """Read the list, find a chain in it, and search at each key of some queries."""
    csv = listing(20_000 if results.quick else ROWS)
    instruments = Instruments.read_csv(csv)
    keys = {query[:end] for query in QUERIES for end in range(1, len(query) + 1)}
    instruments.search("")  # prepares the texts
    searches = [processor_time(partial(instruments.search, key), 15) for key in sorted(keys)]
    chain = processor_time(lambda: instruments.option_chain("NIFTY", around=26_000))
    results.add(
        f"Instruments: a search per key, {len(instruments):,} listed, processor time",
        statistics.median(searches),
        form="{:.1f} ms",
        note=f"median of {len(keys)} keys, at most {max(searches):.1f} ms; "
        f"`option_chain` {chain:.1f} ms; reading the list "
        f"{processor_time(lambda: Instruments.read_csv(csv)):.0f} ms",
    )


if __name__ == "__main__":
    harness.main("instruments", measure, __doc__)
