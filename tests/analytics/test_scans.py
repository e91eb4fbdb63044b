"""Each question to a scan has the answer that it has to the collected frame, and is lazy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import INFY, SBIN, record_market
from kitepolars.frames.schema import SCHEMA

Ask = Callable[[pl.LazyFrame], pl.LazyFrame]

OVER: Final = "instrument_token"
EXPRESSIONS: Final[dict[str, pl.Expr]] = {
    "change": kp.change(),
    "returns": kp.returns().over(OVER),
    "volume_delta": kp.volume_delta().over(OVER),
    "vwap": kp.vwap().over(OVER),
    "mid": kp.mid(),
    "spread": kp.spread(),
    "imbalance": kp.imbalance(),
    "microprice": kp.microprice(),
    "depth_weighted_price": kp.depth_weighted_price(),
    "realised_volatility": kp.realised_volatility("1m").over(OVER),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of two days, in three files."""
    folder = tmp_path_factory.mktemp("scans")
    record_market(folder / "ticks")
    record_market(folder / "ticks", day=dt.date(2026, 11, 23), seconds=60)
    kp.publish(folder / "ticks", folder / "days")
    return folder / "days"


@pytest.fixture
def never_whole(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the heights of all frames that were collected, to be looked at in the end."""
    heights: list[int] = []
    collect = pl.LazyFrame.collect

    def counted(frame: pl.LazyFrame, *arguments: object, **options: object) -> pl.DataFrame:
        answer = collect(frame, *arguments, **options)  # type: ignore[call-overload]
        heights.append(answer.height)
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr(pl.LazyFrame, "collect", counted)
    return heights


QUESTIONS: Final[dict[str, Ask]] = {
    "candles": lambda ticks: kp.candles(ticks, "1m"),
    "candles of three seconds": lambda ticks: kp.candles(ticks, "3s", on="received_at"),
    "df.kite.candles": lambda ticks: ticks.kite.candles("1m"),  # type: ignore[attr-defined]
    "latest": kp.latest,
    "df.kite.latest": lambda ticks: ticks.kite.latest(),  # type: ignore[attr-defined]
    "movers": lambda ticks: kp.movers(kp.latest(ticks), 1),
    "an aggregate": lambda ticks: ticks.group_by("symbol").agg(kp.spread().mean()).sort("symbol"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_scan_answers_as_its_frame_does_and_stays_lazy(
    table: Path, question: str, never_whole: list[int]
) -> None:
    ask = QUESTIONS[question]
    scan = kp.scan(table)
    answer = ask(scan)
    assert isinstance(answer, pl.LazyFrame)
    assert never_whole == []  # nothing is read before it is collected
    whole = kp.scan(table).collect()
    never_whole.clear()
    streamed = answer.collect(engine="streaming")
    assert max(never_whole) < whole.height / 2  # and it was never held as a whole
    assert_frame_equal(streamed, ask(whole.lazy()).collect())


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_on_a_scan_is_that_on_its_frame(table: Path, name: str) -> None:
    expression = EXPRESSIONS[name].alias("value")
    lazily = kp.scan(table).select(expression).collect(engine="streaming")
    assert_frame_equal(lazily, kp.scan(table).collect().select(expression))
    assert lazily["value"].count()


def test_the_book_of_a_scan_reads_one_instrument(table: Path) -> None:
    whole = kp.scan(table).collect()
    assert_frame_equal(kp.depth(kp.scan(table), SBIN), kp.depth(whole, SBIN))
    assert_frame_equal(kp.scan(table).kite.depth("NSE:INFY"), kp.depth(whole, INFY))  # type: ignore[attr-defined]


def test_candles_of_a_scan_are_those_of_a_day_at_a_time(table: Path) -> None:
    days = [dt.date(2026, 11, 20), dt.date(2026, 11, 23)]
    by_day = [kp.candles(kp.scan(table, start=day, end=day), "1m").collect() for day in days]
    both = kp.candles(kp.scan(table), "1m").collect()
    # whether the last bar of a day is over, only what comes later can say
    assert_frame_equal(both.drop("is_partial"), pl.concat(by_day).drop("is_partial"))


def test_a_scan_has_the_columns_of_a_ticker(table: Path) -> None:
    scan = kp.scan(table).collect_schema()
    assert list(scan.items())[: len(SCHEMA)] == list(SCHEMA.items())
