"""Puts a recording's ticks into a store, and asks it questions; `bench_days` runs it as a process.

The stores are a table of days, plain Parquet files as a user of Polars writes them, a DuckDB file,
and ArcticDB. Each gets the same ticks, decoded from the same recording.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

import polars as pl

import kitepolars as kp
from kitepolars.days.manifest import Table
from kitepolars.days.tidy import Tidied, tidy
from kitepolars.journal.segments import segments
from kitepolars.recordings.ticks import TickReader
from market_day import DAY

MINUTE: Final = dt.timedelta(minutes=1)
KEY, PRICE, ARRIVED = pl.col("instrument_token"), pl.col("last_price"), pl.col("received_at")
BAR: Final = (
    PRICE.first().alias("open"),
    PRICE.max().alias("high"),
    PRICE.min().alias("low"),
    PRICE.last().alias("close"),
)


class Store(ABC):
    """Where ticks are put.

    Parameters
    ----------
    folder
        Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def write(self, recording: Path) -> int:
        """Put all ticks of a recording there; return how many they are."""

    @abstractmethod
    def instrument(self, token: int) -> int:
        """Read an instrument's day, all columns; return its rows."""

    @abstractmethod
    def minute(self, begin: dt.datetime) -> int:
        """Read a minute of all instruments, all columns; return its rows."""

    @abstractmethod
    def last(self) -> int:
        """Read the last tick of each instrument, its time and price; return how many."""

    @abstractmethod
    def bars(self) -> int:
        """Make bars of a minute of everything; return how many."""


class Days(Store):
    """A table of days."""

    def write(self, recording: Path) -> int:
        """Publish."""
        return kp.publish(recording, self.folder).rows

    def tidy(self) -> Tidied:
        """Put the day in its final order, in both."""
        return tidy(Table(self.folder), today=DAY + dt.timedelta(days=1), grace=0)

    def instrument(self, token: int) -> int:
        """Ask for it by its token."""
        return kp.scan(self.folder, instruments=[token]).collect().height

    def by_symbol(self, token: int) -> int:
        """Ask for the same with a plain filter by its symbol."""
        names = kp.scan(self.folder, last=True).filter(token == KEY)
        symbol = names.select(pl.col("symbol").cast(pl.String)).collect().item()
        return kp.scan(self.folder).filter(pl.col("symbol") == symbol).collect().height

    def minute(self, begin: dt.datetime) -> int:
        """Ask for it by its times."""
        return kp.scan(self.folder, start=begin, end=begin + MINUTE).collect().height

    def last(self) -> int:
        """Ask for the last ticks, all columns."""
        return kp.scan(self.folder, last=True).collect().height

    def bars(self) -> int:
        """Make candles, with volumes and the calendar."""
        return kp.candles(kp.scan(self.folder), "1m").collect().height

    def bars_thrice(self) -> int:
        """Make candles of the day three times, one after the other; return the ticks."""
        thrice = pl.concat([kp.scan(self.folder)] * 3)
        return int(kp.candles(thrice, "1m").collect()["ticks"].sum())


class ParquetFiles(Store):
    """Files of a quarter of an hour, as they come from ``DataFrame.write_parquet``."""

    def write(self, recording: Path) -> int:
        """Write the frames of each quarter of an hour in arrival order."""
        self.folder.mkdir(parents=True)
        rows, held = 0, pl.DataFrame()
        for batch in batches(recording):
            held = held.vstack(batch) if held.height else batch
            quarter = held["received_at"].dt.truncate("15m")
            while quarter[0] != quarter[-1] or held.height >= ROWS_A_FILE:
                done = held.filter(quarter == quarter[0]).head(ROWS_A_FILE)
                rows += self._put(done, rows)
                held = held[done.height :]
                quarter = held["received_at"].dt.truncate("15m")
        return rows + self._put(held, rows)

    def _put(self, ticks: pl.DataFrame, number: int) -> int:
        ticks.write_parquet(self.folder / f"{number:012}.parquet")
        return ticks.height

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / "*.parquet")

    def instrument(self, token: int) -> int:
        """Filter by token."""
        return self._scan().filter(token == KEY).collect().height

    def minute(self, begin: dt.datetime) -> int:
        """Filter by time."""
        zoned = pl.lit(begin).dt.convert_time_zone("Asia/Kolkata")
        is_in = (zoned <= ARRIVED) & (zoned + MINUTE > ARRIVED)
        return self._scan().filter(is_in).collect().height

    def last(self) -> int:
        """Group everything."""
        grouped = self._scan().group_by(KEY).agg(ARRIVED.last(), PRICE.last())
        return grouped.collect(engine="streaming").height

    def bars(self) -> int:
        """Group everything by minute."""
        minute = pl.col("exchange_timestamp").dt.truncate("1m")
        return self._scan().group_by(KEY, minute).agg(BAR).collect(engine="streaming").height


class DuckDB(Store):
    """A table in a DuckDB file."""

    def _open(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        opened = import_module("duckdb").connect(str(self.folder / "ticks.duckdb"))
        opened.execute("SET memory_limit = '4GB'")
        opened.execute("SET TimeZone = 'Asia/Kolkata'")
        return opened

    def write(self, recording: Path) -> int:
        """Insert batch by batch, in arrival order."""
        rows = 0
        with self._open() as database:
            for batch in batches(recording):
                database.register("batch", batch.to_arrow())
                if not rows:
                    database.execute("CREATE TABLE ticks AS SELECT * FROM batch LIMIT 0")
                database.execute("INSERT INTO ticks SELECT * FROM batch")
                rows += batch.height
        return rows

    def _ask(self, statement: str, *values: object) -> int:
        with self._open() as database:
            asked = database.sql(statement, params=list(values))
            return pl.DataFrame(asked.to_arrow_table()).height

    def instrument(self, token: int) -> int:
        """Filter by token."""
        return self._ask("SELECT * FROM ticks WHERE instrument_token = ?", token)

    def minute(self, begin: dt.datetime) -> int:
        """Filter by time."""
        statement = "SELECT * FROM ticks WHERE received_at >= ? AND received_at < ?"
        return self._ask(statement, begin, begin + MINUTE)

    def last(self) -> int:
        """Group everything."""
        return self._ask(
            "SELECT instrument_token, max(received_at), arg_max(last_price, received_at) "
            "FROM ticks GROUP BY 1"
        )

    def bars(self) -> int:
        """Group everything by minute."""
        return self._ask(
            "SELECT instrument_token, date_trunc('minute', exchange_timestamp), "
            "arg_min(last_price, received_at), max(last_price), min(last_price), "
            "arg_max(last_price, received_at) FROM ticks GROUP BY 1, 2"
        )


class ArcticDB(Store):
    """One symbol with the ticks of all instruments, appended in arrival order.

    It takes flat pandas frames, so the depth is thirty columns.
    """

    def _library(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        opened = import_module("arcticdb").Arctic(f"lmdb://{self.folder}?map_size=200GB")
        return opened.get_library("ticks", create_if_missing=True)

    def write(self, recording: Path) -> int:
        """Append batch by batch."""
        rows, library = 0, self._library()
        for batch in batches(recording):
            library.append("ticks", flat(batch), validate_index=False)
            rows += batch.height
        return rows

    def _read(self, **selection: Any) -> Any:
        return self._library().read("ticks", **selection).data

    def instrument(self, token: int) -> int:
        """Filter by token."""
        query = import_module("arcticdb").QueryBuilder()
        query = query[query["instrument_token"] == token]
        return len(self._read(query_builder=query))

    def minute(self, begin: dt.datetime) -> int:
        """Select by the index."""
        start = begin.replace(tzinfo=None)
        last = start + MINUTE - dt.timedelta(microseconds=1)
        return len(self._read(date_range=(start, last)))

    def last(self) -> int:
        """Group everything."""
        ticks = pl.from_pandas(self._read(columns=["instrument_token", "last_price"]))
        return ticks.group_by(KEY).agg(PRICE.last()).height

    def bars(self) -> int:
        """Group everything by minute."""
        columns = ["instrument_token", "last_price", "exchange_timestamp"]
        ticks = pl.from_pandas(self._read(columns=columns)).lazy()
        minute = pl.col("exchange_timestamp").dt.truncate("1m")
        return ticks.group_by(KEY, minute).agg(BAR).collect(engine="streaming").height


STORES: Final[dict[str, type[Store]]] = {
    "days": Days,
    "parquet": ParquetFiles,
    "duckdb": DuckDB,
    "arcticdb": ArcticDB,
}

ROWS_A_FILE: Final = 1_000_000


def batches(recording: Path) -> Iterator[pl.DataFrame]:
    """Yield the ticks of a recording in arrival order."""
    reader = TickReader()
    read = (reader.read(segment) for segment in segments(recording))
    for batch in chain(chain.from_iterable(read), reader.finish()):
        yield batch.ticks


def flat(ticks: pl.DataFrame) -> Any:
    """Return a pandas frame with scalar columns, the arrival as its index, in Indian time."""
    lists = [name for name, dtype in ticks.schema.items() if isinstance(dtype, pl.Array)]
    levels = [
        pl.col(name).arr.get(level).alias(f"{name}_{level + 1}")
        for name in lists
        for level in range(5)
    ]
    texts = pl.col(pl.Categorical, pl.Enum).cast(pl.String)
    times = pl.col(pl.Datetime("us", "Asia/Kolkata")).dt.replace_time_zone(None)
    made = ticks.with_columns(levels).drop(lists).with_columns(texts, times)
    return made.to_pandas().set_index("received_at")


def main() -> None:
    """Do one thing with one store, and print what it took as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=STORES, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--do", required=True)
    parser.add_argument("--of", default="")
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    store = STORES[arguments.store](arguments.folder)
    print(json.dumps(_done(store, arguments.do, arguments.of, arguments.times)))


ARGUMENT: Final[dict[str, Callable[[str], Any]]] = {
    "write": Path,
    "instrument": int,
    "by_symbol": int,
    "minute": dt.datetime.fromisoformat,
}
"""What is done → how its argument is read."""


def _done(store: Store, do: str, of: str, times: int) -> dict[str, Any]:
    action = getattr(store, do)
    given = [ARGUMENT[do](of)] if of else []
    walls, processor, read = [], [], 0
    answer: Any = None
    for _ in range(times):
        wall, cpu, before = time.perf_counter(), time.process_time(), _bytes_read()
        answer = action(*given)
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
        read = _bytes_read() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "answer": answer.rows if isinstance(answer, Tidied) else answer,
        "wall": statistics.median(walls),
        "processor": statistics.median(processor),
        "first": walls[0],
        "peak": peak * (1 if sys.platform == "darwin" else 1024),
        "read": read,
        "load": os.getloadavg()[0],
    }


def _bytes_read() -> int:
    """Return what this process has read with system calls: all of it unless files are mapped."""
    counters = Path("/proc/self/io")
    return int(counters.read_text().split()[1]) if counters.exists() else 0


if __name__ == "__main__":
    main()
