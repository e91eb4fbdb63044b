"""What candles take, of a frame and of a live ticker, and how true their highs and lows are."""

from __future__ import annotations

import statistics
import time
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

import filling
import harness
from firehose import Firehose
from kitepolars import Instruments, Ticker, candles
from kitepolars.frames.schema import TIMESTAMP
from kitepolars.pipeline import Pipeline
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.market import MarketModel
from kitepolars.sim.master import InstrumentMaster
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import FULL, SEGMENT_MASK, segment_divisors
from messages import INSTRUMENTS, PACKETS
from timing import best_of

ROW_BYTES: Final = 100
SECONDS: Final = 375 * 60
CHUNK: Final = 65_536
CALLS: Final = 31
NSE, NFO = 1, 2


def session(rows: int, instruments: int) -> pl.DataFrame:
    """Return ticks in arrival order, spread over the first hour of a session, two a second each."""
    rng = np.random.default_rng(0)
    row = np.arange(rows)
    second = row // (2 * instruments) % SECONDS
    at = pl.Series((filling.START + second) * 1_000_000).cast(TIMESTAMP)
    which = rng.integers(0, instruments, rows)
    names = pl.Series([f"NSE:S{i}" for i in range(instruments)], dtype=pl.Categorical)
    return pl.DataFrame(
        {
            "received_at": at,
            "exchange_timestamp": at,
            "instrument_token": (which * 256 + NSE).astype(np.uint32),
            "symbol": names.gather(which),
            "is_snapshot": np.zeros(rows, np.bool_),
            "last_price": np.round(100 + rng.integers(-200, 200, rows) * 0.05, 2),
            "average_traded_price": np.full(rows, 100.0),
            "volume_traded": (row // instruments + 1).astype(np.uint32),
            "last_trade_time": at,
            "open": np.full(rows, 100.0),
            "high": np.full(rows, 110.0),
            "low": np.full(rows, 90.0),
            "oi": np.zeros(rows, np.uint32),
        }
    )


def plain(ticks: pl.DataFrame) -> pl.DataFrame:
    """Group by instrument and minute, as Polars does it, without any rule."""
    price = pl.col("last_price")
    return ticks.group_by(
        "instrument_token", pl.col("exchange_timestamp").dt.truncate("1m").alias("start")
    ).agg(
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
    )


def measure_frames(results: harness.Results) -> None:
    """Time both over more rows, over more instruments, and over many chunks."""
    most = harness.room_for(500_000 if results.quick else 10_000_000, ROW_BYTES)
    cases = [(most // 10, 3_000, False), (most, 3_000, False)]
    cases += [(most, 9_000, False), (most, 9_000, True)]
    for rows, instruments, in_chunks in cases:
        ticks = session(rows, instruments)
        if in_chunks:
            parts = [ticks[first : first + CHUNK] for first in range(0, rows, CHUNK)]
            ticks = pl.concat(parts, rechunk=False)
        keys = ["instrument_token", "start"]
        columns = ["open", "high", "low", "close"]
        ours, theirs = candles(ticks, "1m").sort(keys), plain(ticks).sort(keys)
        assert ours.select(keys + columns).equals(theirs.select(keys + columns))
        timings = best_of(
            {
                "candles": lambda ticks=ticks: candles(ticks, "1m").height and ticks.height,  # type: ignore[misc]
                "plain": lambda ticks=ticks: plain(ticks).height and ticks.height,  # type: ignore[misc]
            },
            repeats=3,
        )
        mine, other = timings["candles"].wall, timings["plain"].wall
        results.add(
            f"Candles: of a minute, {rows:,} rows, {instruments:,} instruments"
            + (f", {ticks.n_chunks()} chunks" if in_chunks else ""),
            mine / other,
            against="Polars' plain group-by of open, high, low and close",
            target=harness.at_most(1.5),
            note=f"{1e9 * mine:,.0f} ns a row against {1e9 * other:,.0f} ns",
        )


class Market:
    """Ticks of a simulated market as messages, one round a call: each instrument once."""

    def __init__(self, instruments: int) -> None:
        now = time.time()
        self._master = generate_instruments(on=date.fromtimestamp(now))  # noqa: DTZ012
        self._columns = MarketModel(self._master, now=now).columns
        codes = self._master.instrument_token & SEGMENT_MASK
        self._rows = np.flatnonzero(np.isin(codes, (NSE, NFO)))[:instruments]
        self._rng = np.random.default_rng(0)
        self.second = 0.0

    def round(self, ticks: int | None = None) -> list[bytes]:
        """Return a tick of each instrument, or of some, half a second later."""
        self.second += 0.5
        rows = self._rows[: ticks or len(self._rows)]
        columns = {name: column[rows] for name, column in self._columns.items()}
        columns["exchange_timestamp"][:] = filling.START + int(self.second)
        columns["last_trade_time"][:] = columns["exchange_timestamp"]
        columns["volume_traded"][:] += int(self.second * 2)
        columns["last_price"][:] += self._rng.integers(-3, 4, len(rows)) * 5
        packets = encode_packets(FULL, columns)
        return [
            encode_message(
                *(packets[i : i + 1] for i in range(first, min(len(rows), first + PACKETS)))
            )
            for first in range(0, len(rows), PACKETS)
        ]


def measure_ticker(results: harness.Results) -> None:
    """Ask a ticker again after some new ticks, with more instruments, rows and bars."""
    names = Instruments.from_records([])
    found = []
    for instruments in (1_000, 3_000, INSTRUMENTS):
        for minutes in (2,) if results.quick else (2, 8):
            market = Market(instruments)
            with (
                Firehose() as server,
                Ticker("benchmark", "benchmark", url=server.url, instruments=names) as ticker,
            ):
                row = _asked_again(ticker, market, minutes)
            found.append({"instruments": instruments, "minutes": minutes, **row})
            print(f"  {found[-1]}", flush=True)
    results.series["candles"] = found
    first, last = found[0], found[-1]
    for ticks, most in ((100, 1.0), (1_000, 1.0), (2 * INSTRUMENTS, 6.0)):
        name = f"after {ticks}"
        results.add(
            f"Candles: `ticker.candles()` after {ticks:,} new ticks, {INSTRUMENTS:,} instruments, "
            f"{last['rows']:,} rows and {last['bars']:,} bars held, processor time",
            last[name],
            form="{:.2f} ms",
            target=harness.at_most(most),
            note=f"median; {first[name]:.2f} ms with {first['instruments']:,} instruments, "
            f"{first['rows']:,} rows, {first['bars']:,} bars",
        )


def _asked_again(ticker: Ticker, market: Market, minutes: int) -> dict[str, float]:
    def feed(sent: list[bytes]) -> None:
        def deliver(pipeline: Pipeline) -> int:
            return filling.feed(pipeline, sent)

        filling.on_loop_thread(ticker, deliver)

    while market.second < minutes * 60 + 20:
        feed(market.round())
    bars = ticker.candles("1m")
    row: dict[str, float] = {"rows": ticker.frame().height, "bars": bars.height}
    for ticks in (100, 1_000, 2 * INSTRUMENTS):
        took = []
        for _ in range(CALLS if ticks < INSTRUMENTS else 7):
            if ticks < INSTRUMENTS:
                feed(market.round(ticks))
            else:
                feed(market.round())
                feed(market.round())
            ticker._held()  # noqa: SLF001 - decoding is measured elsewhere
            begin = time.process_time()
            ticker.candles("1m")
            took.append(time.process_time() - begin)
        row[f"after {ticks}"] = 1e3 * statistics.median(took)
    return row


def measure_truth(results: harness.Results) -> None:
    """Compare minute bars of a feed of snapshots with all trades of the simulated market."""
    ticks, truth = trades_and_ticks(minutes=3 if results.quick else 10, instruments=200)
    shares = {}
    for name, frame in (("with", ticks), ("without", ticks.drop("open", "high", "low"))):
        bars = truth.join(candles(frame, "1m"), on=["instrument_token", "start"])
        exact = pl.concat(
            [
                bars.filter(f"new_{side}")
                .select(pl.col(side) == pl.col(f"true_{side}"))
                .to_series()
                for side in ("high", "low")
            ]
        )
        whole = bars.select(
            (pl.col("high") == pl.col("true_high")) & (pl.col("low") == pl.col("true_low"))
        ).to_series()
        shares[name] = [100 * float(share.mean() or 0) for share in (exact, whole)]  # type: ignore[arg-type]
    for place, what in enumerate(
        ("highs and lows of a minute that are new of the day", "minutes with true high and low")
    ):
        results.add(
            f"Candles: {what}, exact, one tick a second of ten trades",
            shares["with"][place],
            form="{:.1f} %",
            note=f"{shares['without'][place]:.1f} % without the day's official high and low",
        )


def trades_and_ticks(*, minutes: int, instruments: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return one tick a second of each instrument, and the true range of each minute.

    The market trades ten times a second; a tick shows the last trade, and the day's range.
    """
    begin = float(filling.START + 3_600)
    master = generate_instruments(on=date(2026, 11, 20), seed=0)
    market = MarketModel(master, now=begin, seed=0)
    rows, scale = _shares_and_derivatives(master, instruments)
    tokens = master.instrument_token[rows].astype(np.uint32)
    columns = market.columns
    before = columns["volume_traded"][rows]
    day_high, day_low = (columns[name][rows] / scale for name in ("high", "low"))
    turn = np.arange(len(rows)) % 10
    seen, minute_frames = [], []
    for minute in range(minutes):
        high, low = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
        first_high, first_low = day_high, day_low
        for step in range(600):
            second = int(begin) + minute * 60 + step // 10
            market.advance(0.1)
            market.tick(rows, float(second))
            price, volume = columns["last_price"][rows] / scale, columns["volume_traded"][rows]
            traded = volume != before
            before = volume
            high = np.maximum(high, np.where(traded, price, -np.inf))
            low = np.minimum(low, np.where(traded, price, np.inf))
            seen.append(_seen(columns, rows, scale, tokens, turn == step % 10, second))
        day_high, day_low = np.maximum(day_high, high), np.minimum(day_low, low)
        minute_frames.append(
            pl.DataFrame(
                {
                    "instrument_token": tokens,
                    "start": np.full(len(rows), (int(begin) + minute * 60) * 1_000_000),
                    "true_high": high,
                    "true_low": low,
                    "new_high": high > first_high,
                    "new_low": low < first_low,
                }
            )
        )
    typed = [
        pl.concat(frames).with_columns(pl.col(name).cast(TIMESTAMP))
        for name, frames in (("exchange_timestamp", seen), ("start", minute_frames))
    ]
    return typed[0], typed[1]


def _shares_and_derivatives(
    master: InstrumentMaster, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    codes = master.instrument_token & SEGMENT_MASK
    rows = np.flatnonzero(np.isin(codes, (NSE, NFO)))
    rows = rows[:: max(1, len(rows) // count)][:count]
    return rows, segment_divisors()[codes[rows]]


def _seen(  # noqa: PLR0917 - what a packet is made of
    columns: dict[str, npt.NDArray[np.int64]],
    rows: npt.NDArray[np.intp],
    scale: npt.NDArray[np.float64],
    tokens: npt.NDArray[np.uint32],
    due: npt.NDArray[np.bool_],
    second: int,
) -> pl.DataFrame:
    chosen, scale = rows[due], scale[due]
    prices = {name: columns[name][chosen] / scale for name in ("open", "high", "low", "last_price")}
    return pl.DataFrame(
        {
            "instrument_token": tokens[due],
            "exchange_timestamp": np.full(len(chosen), second * 1_000_000),
            "volume_traded": columns["volume_traded"][chosen].astype(np.uint32),
            **prices,
        }
    )


def measure(results: harness.Results) -> None:
    """Measure all three."""
    measure_frames(results)
    measure_ticker(results)
    measure_truth(results)


if __name__ == "__main__":
    harness.main("candles", measure, __doc__)
