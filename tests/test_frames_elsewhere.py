"""Every frame that the package returns goes to pandas, Arrow, DuckDB, NumPy, Altair, CSV, Excel."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import kitepolars as kp
from days.market import record_market
from kitepolars.feed.account import Account
from kitepolars.frames.schema import TIME_ZONE
from kitepolars.instruments import RejectedRowsWarning
from kitepolars.rest import historical as fetch_history
from patience import PATIENCE
from rest.stand_in import Answer, KiteApi

FRAMES: Final = (
    *("frame", "latest", "candles", "indicators", "depth", "movers", "option_chain", "alerts"),
    *("subscriptions", "connections", "orders", "gaps", "events", "instruments", "profile"),
    *("historical", "read_journal", "scan", "alerts of a frame", "search", "rejected"),
)
DUMP: Final = b"""instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
tick_size,lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
x,1594,SBIN,,0,,0,0.05,1,EQ,NSE,NSE
"""


def historical() -> pl.DataFrame:
    """Return candles as Kite's history gives them."""
    bars = [[f"2026-11-19T09:{minute}:00+0530", 1, 2.5, 0.5, 1.5, 7] for minute in (15, 16)]
    with KiteApi() as server:
        server.answer = lambda _: Answer.success({"candles": bars})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        day = "2026-11-19"
        account = Account("main", "key", "token")
        try:
            found = fetch_history(
                account, 408065, "minute", day, day, url=server.url, progress=False
            )
        finally:
            server.shutdown()
            thread.join(PATIENCE)
    return found


def recorded(folder: Path) -> dict[str, pl.DataFrame]:
    """Return a short recording as a frame, and as a table of days."""
    record_market(folder / "ticks", seconds=5)
    kp.publish(folder / "ticks", folder / "days")
    return {
        "read_journal": kp.read_journal(folder / "ticks").collect(),
        "scan": kp.scan(folder / "days").collect(),
    }


def listed() -> dict[str, pl.DataFrame]:
    """Return what is found in a dump, and what is wrong in it."""
    with pytest.warns(RejectedRowsWarning):
        instruments = kp.Instruments.read_csv(DUMP)
    return {"search": instruments.search("infosys"), "rejected": instruments.rejected}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, pl.DataFrame]]:
    with kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=20) as ticker:
        chain = ticker.instruments.option_chain("NIFTY", around=26_000, strikes=2)
        ticker.subscribe(chain, mode="full")
        ticker.alert(pl.col("last_price") > 0, name="any")
        assert ticker.wait(rows=300, timeout=PATIENCE)
        ticks = ticker.frame()
        bars = ticker.candles("1s", on="received_at")
        yield {
            "frame": ticks,
            "latest": ticker.latest(),
            "candles": bars,
            "indicators": bars.with_columns(kp.indicators.macd(2, 3, 2)).unnest("macd"),
            "depth": ticker.depth("NSE:INFY"),
            "movers": ticker.movers(),
            "option_chain": ticker.option_chain("NIFTY", strikes=2),
            "alerts": ticker.alerts(),
            "subscriptions": ticker.subscriptions(),
            "connections": ticker.connections(),
            "orders": ticker.orders(),
            "gaps": ticker.gaps(),
            "events": ticker.events(),
            "instruments": ticker.instruments.frame.head(50),
            "profile": kp.indicators.volume_profile(ticks),
            "alerts of a frame": kp.alerts(ticks, pl.col("last_price") > 0),
            "historical": historical(),
            **recorded(tmp_path_factory.mktemp("recorded")),
            **listed(),
        }


@pytest.fixture(params=FRAMES)
def frame(request: pytest.FixtureRequest, frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return frames[request.param]


def zoned(frame: pl.DataFrame) -> list[str]:
    return [name for name, dtype in frame.schema.items() if dtype == pl.Datetime]


def test_to_pandas(frame: pl.DataFrame) -> None:
    there = frame.to_pandas()
    assert list(there.columns) == frame.columns
    assert len(there) == frame.height
    for name in zoned(frame):
        dtype = there[name].dtype
        assert isinstance(dtype, pd.DatetimeTZDtype)
        assert str(dtype.tz) == TIME_ZONE
        back = [None if pd.isna(each) else each.to_pydatetime() for each in there[name]]
        assert back == frame[name].to_list()


def test_to_arrow_and_back(frame: pl.DataFrame) -> None:
    there = frame.to_arrow()
    assert there.column_names == frame.columns
    assert there.num_rows == frame.height
    back = pl.from_arrow(there)
    assert isinstance(back, pl.DataFrame)
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Array):  # a fixed-size list there
            assert back.schema[name] == dtype
        assert back[name].cast(pl.String if dtype == pl.Categorical else dtype).to_list() == (
            frame[name].to_list()
        )


def test_in_duckdb(frame: pl.DataFrame) -> None:
    with duckdb.connect() as connection:
        connection.register("held", frame)
        found = connection.execute("SELECT * FROM held")
        assert [name for name, *_ in found.description or ()] == frame.columns
        assert len(found.fetchall()) == frame.height
        for name in zoned(frame):
            times = connection.execute(f'SELECT epoch_us("{name}") FROM held').fetchall()  # noqa: S608 - a column of ours
            assert [time for (time,) in times] == frame[name].dt.epoch("us").to_list()


def test_arrays_in_duckdb(frames: dict[str, pl.DataFrame]) -> None:
    held = frames["frame"]  # noqa: F841 - DuckDB finds it by its name
    relation = duckdb.sql("SELECT bid_price[1] AS best FROM held WHERE mode = 'full'")
    assert relation is not None
    best = relation.pl()["best"]
    want = frames["frame"].filter(mode="full")["bid_price"].arr.first()
    assert best.to_list() == want.to_list()


def test_to_numpy(frame: pl.DataFrame) -> None:
    for name in frame.columns:
        there = frame[name].to_numpy()
        assert len(there) == frame.height
        dtype = frame.schema[name]
        if isinstance(dtype, pl.Array) and not frame[name].null_count():
            assert there.shape == (frame.height, dtype.size)
        if dtype.is_float():
            assert np.array_equal(np.isnan(there), frame[name].is_null().to_numpy())


def test_plot(frame: pl.DataFrame) -> None:
    if pl.Duration in frame.schema.values():  # Altair has no such type: seconds in `flat()`
        with pytest.raises(ValueError, match="Duration"):
            frame.plot.point(x="symbol", y="last_price").to_dict()
        frame = frame.kite.flat()  # type: ignore[attr-defined]
    x, *rest = (name for name, dtype in frame.schema.items() if not dtype.is_nested())
    chart: Any = frame.head(20).plot.point(x=x, y=rest[0]).to_dict()
    assert chart["mark"]["type"] == "point"
    (rows,) = chart["datasets"].values()
    assert len(rows) == min(20, frame.height)


def test_csv_and_excel(frame: pl.DataFrame, tmp_path: Path) -> None:
    flat = frame.kite.flat()  # type: ignore[attr-defined]
    text = io.StringIO(flat.write_csv())
    assert pl.read_csv(text, infer_schema=False).shape == flat.shape
    book = tmp_path / "book.xlsx"
    flat.write_excel(book)
    assert book.stat().st_size > 1_000


def test_flat_has_a_column_for_each_level(frames: dict[str, pl.DataFrame]) -> None:
    ticks = frames["frame"]
    flat = ticks.kite.flat()  # type: ignore[attr-defined]
    assert flat.columns[-30:][:5] == [f"bid_price_{level}" for level in range(1, 6)]
    assert flat.columns[-1] == "ask_orders_5"
    assert flat["ask_quantity_3"].to_list() == ticks["ask_quantity"].arr.get(2).to_list()
    assert flat["received_at"].to_list() == [at.replace(tzinfo=None) for at in ticks["received_at"]]
    lazy = ticks.lazy().kite.flat()  # type: ignore[attr-defined]
    assert lazy.collect().equals(flat)
