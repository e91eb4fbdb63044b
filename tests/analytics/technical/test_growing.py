"""Bar by bar, in any parts, the results are those of the whole frame, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.technical.bars import TOKENS, random_bars
from kitepolars import indicators as ki
from kitepolars.analytics.technical.indicator import Study
from kitepolars.analytics.technical.scan import BarScan
from kitepolars.errors import ConfigError

ALL: Final = [
    ki.sma(5),
    ki.ema(5),
    ki.wma(5),
    ki.bollinger(5),
    ki.macd(3, 7, 4),
    ki.rsi(5),
    ki.stochastic(5),
    ki.obv(),
    ki.atr(5),
    ki.adx(5),
    ki.supertrend(5),
    ki.vwap_bands(),
    ki.pivots(),
    ki.opening_range(),
    ki.ema(9, of="high").alias("slow"),
]


def at_once(bars: pl.DataFrame) -> pl.DataFrame:
    frame = bars.with_columns(ALL)
    return frame.unnest(*[one.study.name for one in ALL if len(one.study.names) > 1])


def test_every_indicator_is_here() -> None:
    functions = {name for name in ki.__all__ if name.islower()} - {"volume_profile"}
    assert functions == {one.study.name for one in ALL} - {"slow"}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_any_split_of_the_bars_gives_the_same(seed: int, data: st.DataObject) -> None:
    bars = random_bars(seed, days=2, bars=25, tokens=TOKENS[: data.draw(st.integers(1, 3))])
    rng = np.random.default_rng(seed)
    growing = ki.IncrementalIndicators(ALL)
    cuts = data.draw(st.lists(st.integers(0, bars.height), max_size=8).map(sorted))
    finished = 0
    for cut in [*cuts, bars.height]:
        so_far = bars.head(cut)
        finished = max(finished, cut - int(rng.integers(0, 6)))
        is_partial = pl.Series("is_partial", [i >= finished for i in range(cut)], pl.Boolean)
        # What is still forming is going to change.
        seen = so_far.with_columns(is_partial).with_columns(
            pl.when("is_partial").then(pl.col("close") + 0.05).otherwise("close").alias("close")
        )
        want = at_once(seen)
        got = growing.add_to(seen)
        assert_frame_equal(got, want.select(got.columns), check_exact=True)


def test_a_frame_that_begins_otherwise_is_computed_anew() -> None:
    growing = ki.IncrementalIndicators([ki.ema(3)])
    first, second = random_bars(1), random_bars(2)
    growing.add_to(first)
    assert_frame_equal(growing.add_to(second), second.with_columns(ki.ema(3)), check_exact=True)
    shorter = second.head(10)
    assert_frame_equal(growing.add_to(shorter), shorter.with_columns(ki.ema(3)), check_exact=True)


def test_only_what_is_new_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    run = Study.run

    def counted(
        study: Study, scan: BarScan, tokens: pl.Series, columns: Sequence[pl.Series]
    ) -> list[pl.Series]:
        rows.append(len(tokens))
        return run(study, scan, tokens, columns)

    monkeypatch.setattr(Study, "run", counted)
    bars = random_bars(1).with_columns(is_partial=False)
    growing = ki.IncrementalIndicators([ki.ema(3)])
    growing.add_to(bars.head(300))
    partial = bars.head(304).with_columns(is_partial=pl.int_range(304) >= 302)
    growing.add_to(partial)
    assert rows == [300, 2, 2]


@pytest.mark.parametrize(
    "indicators",
    [
        [],
        ki.sma(3),
        [pl.col("close")],
        [ki.sma(3) + 1],
        [ki.sma(3), ki.sma(4)],
        [ki.ema(2).alias("macd"), ki.macd()],
    ],
)
def test_what_cannot_be_continued_is_refused(indicators: list[ki.Indicator]) -> None:
    with pytest.raises(ConfigError):
        ki.IncrementalIndicators(indicators)


def test_an_indicator_is_an_expression() -> None:
    bars = random_bars(4)
    over = bars.select(ki.rsi(5).over("instrument_token"))
    assert_frame_equal(over, bars.select(ki.rsi(5)), check_exact=True)
    lazy = bars.lazy().filter(ki.rsi(5) < 30).select("close").collect()
    assert_frame_equal(
        lazy, bars.filter(pl.Series(bars.select(ki.rsi(5)).to_series() < 30)).select("close")
    )
    assert bars.select(ki.sma(3).alias("x") * 2).columns == ["x"]
    assert bars.select(ki.macd().alias("m")).unnest("m").columns == ["m", "m_signal", "m_histogram"]


def test_df_kite_adds_the_columns() -> None:
    bars = random_bars(4)
    assert bars.kite.macd(3, 6, 2).columns[-3:] == ["macd", "macd_signal", "macd_histogram"]  # type: ignore[attr-defined]
    lazy = bars.lazy().kite.rsi(5)  # type: ignore[attr-defined]
    assert_frame_equal(lazy.collect(), bars.with_columns(ki.rsi(5)))
    with pytest.raises(ConfigError, match="high"):
        bars.drop("high").kite.atr()  # type: ignore[attr-defined]


def test_missing_values_are_left_out() -> None:
    bars = pl.DataFrame({"instrument_token": 1, "close": [1.0, None, 2.0, 4.0, None, 6.0]})
    got = bars.select(ki.ema(2), ki.sma(2))
    assert got["ema"].to_list() == [
        None,
        None,
        1.5,
        pytest.approx(19 / 6),
        None,
        pytest.approx(91 / 18),
    ]
    assert got["sma"].to_list() == [None, None, None, 3.0, None, None]
