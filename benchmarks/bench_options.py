"""What a live option chain takes, from ten thousand rows held to a million."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import numpy as np
import polars as pl

import filling
import harness
from firehose import Firehose
from kitepolars import Instruments, Ticker
from kitepolars.pipeline import Pipeline
from kitepolars.sim import SimulatedKite
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.market import MarketModel
from kitepolars.sim.master import day_of
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import FULL, SEGMENT_MASK, SEGMENTS
from messages import INSTRUMENTS, PACKETS
from timing import processor_time

UNDERLYING: Final = "NIFTY"
ROW_BYTES = 260


def market_messages(chain: pl.DataFrame) -> list[bytes]:
    """Return a full-mode packet of each contract of a chain and of others, 9,000 in all.

    The prices are the simulated market's, so that the chain has volatilities.
    """
    now = time.time()
    master = generate_instruments(on=day_of(now))
    columns = MarketModel(master, now=now).columns
    tokens = master.instrument_token
    is_ours = np.isin(tokens, np.concatenate([chain["call_token"], chain["put_token"]]))
    tradable = [code for code, segment in SEGMENTS.items() if segment.tradable]
    others = np.flatnonzero(~is_ours & np.isin(tokens & SEGMENT_MASK, tradable))
    ours = np.flatnonzero(is_ours)
    rows = np.concatenate([ours, others[: INSTRUMENTS - len(ours)]])
    columns["exchange_timestamp"][:] = columns["last_trade_time"][:] = int(now)
    packets = encode_packets(FULL, {name: column[rows] for name, column in columns.items()})
    return [
        encode_message(*(packets[place : place + 1] for place in range(first, first + PACKETS)))
        for first in range(0, len(packets), PACKETS)
    ]


def measure(results: harness.Results) -> None:
    """Let the history grow, and ask for the chain at each size."""
    rows = harness.room_for(100_000 if results.quick else 1_000_000, ROW_BYTES)
    names = Instruments.read_csv(SimulatedKite().instruments_csv())
    sent = market_messages(names.option_chain(UNDERLYING))
    found = []
    with (
        Firehose() as server,
        Ticker("benchmark", "benchmark", url=server.url, instruments=names) as ticker,
    ):
        for size in harness.sizes(rows):
            filling.on_loop_thread(ticker, partial(grow, sent, size))
            live = ticker.option_chain(UNDERLYING)
            assert live["call_iv"].count() == live["put_iv"].count() == live.height > 1
            found.append(
                {
                    "rows": ticker.frame().height,
                    "chain": processor_time(lambda: ticker.option_chain(UNDERLYING)),
                    "whole": processor_time(lambda: ticker.option_chain(UNDERLYING, strikes=None)),
                }
            )
    results.series["options"] = found
    first, last = found[0], found[-1]
    results.add(
        f'Options: `option_chain("{UNDERLYING}")`, {last["rows"]:,} rows and {INSTRUMENTS:,} '
        "instruments held, processor time",
        last["chain"],
        form="{:.1f} ms",
        target=harness.at_most(10.0),
        note=f"median; {first['chain']:.1f} ms at {first['rows']:,} rows; {last['whole']:.1f} ms "
        "with every strike",
    )


def grow(sent: list[bytes], rows: int, pipeline: Pipeline) -> None:
    """Feed the messages again and again until a number of rows is held."""
    while pipeline.store.held.height < rows:
        filling.feed(pipeline, sent)


if __name__ == "__main__":
    harness.main("options", measure, __doc__)
