"""``df.kite`` and ``lf.kite`` are the same functions."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
import kitepolars.analytics as ka
from kitepolars.analytics import namespace
from kitepolars.analytics.indicators import INDICATORS
from kitepolars.errors import ConfigError

MakeTicks = Callable[..., pl.DataFrame]
TOKEN = "instrument_token"
ADDED: dict[str, pl.Expr] = {
    "spread": ka.spread(),
    "mid": ka.mid(),
    "microprice": ka.microprice(),
    "imbalance": ka.imbalance(),
    "depth_weighted_price": ka.depth_weighted_price(),
    "change": ka.change(),
    "volume_delta": ka.volume_delta().over(TOKEN),
    "vwap": ka.vwap().over(TOKEN),
    "returns": ka.returns().over(TOKEN),
    "realised_volatility": ka.realised_volatility().over(TOKEN),
}


def kite(frame: pl.DataFrame | pl.LazyFrame) -> Any:
    return frame.kite  # type: ignore[union-attr] # registered at run time


@pytest.fixture
def ticks(random_ticks: MakeTicks) -> pl.DataFrame:
    return random_ticks(5, days=1).filter(pl.col("mode") == "full")


@pytest.mark.parametrize("name", ADDED)
def test_a_column_more(ticks: pl.DataFrame, name: str) -> None:
    want = ticks.with_columns(ADDED[name])
    assert want.columns[-1] == name
    assert_frame_equal(getattr(kite(ticks), name)(), want)
    lazy = getattr(kite(ticks.lazy()), name)()
    assert isinstance(lazy, pl.LazyFrame)
    assert_frame_equal(lazy.collect(), want)


def test_a_new_frame(ticks: pl.DataFrame) -> None:
    assert_frame_equal(kite(ticks).candles("5m"), ka.candles(ticks, "5m"))
    assert_frame_equal(kite(ticks.lazy()).candles("5m").collect(), ka.candles(ticks, "5m"))
    assert_frame_equal(kite(ticks).latest(), ka.latest(ticks))
    assert_frame_equal(kite(ticks).movers(3), ka.movers(ticks, 3))
    with pytest.raises(ConfigError, match="index"):
        kite(ticks).depth(256265)


def test_missing_columns_are_named(ticks: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match="spread: bid_price"):
        kite(ticks.drop("bid_price")).spread()
    with pytest.raises(ConfigError, match="vwap: volume_traded"):
        kite(ticks.drop("volume_traded").lazy()).vwap()


def functions_of(space: ModuleType) -> list[str]:
    return [name for name in space.__all__ if inspect.isfunction(getattr(space, name))]


def test_every_function_is_there_with_a_docstring_and_its_parameters() -> None:
    functions = {name for space in (ka, kp.indicators) for name in functions_of(space)}
    methods = {name for name in vars(ka.KiteNamespace) if not name.startswith("_")}
    assert methods == functions
    for name in functions:
        space = ka if hasattr(ka, name) else kp.indicators
        method, function = getattr(ka.KiteNamespace, name), getattr(space, name)
        assert inspect.getdoc(method)
        own = [p for p in inspect.signature(function).parameters.values() if p.name != "frame"]
        given = list(inspect.signature(method).parameters.values())[1:]
        assert [(p.name, p.default) for p in given] == [(p.name, p.default) for p in own]


def test_every_indicator_is_exported_and_has_a_column_of_its_name() -> None:
    assert {name for name in INDICATORS if hasattr(kp.indicators, name)} >= {"sma", "rsi", "pivots"}
    for name, (function, _) in INDICATORS.items():
        if hasattr(kp.indicators, name):
            assert getattr(kp.indicators, name) is function
            assert name in kp.indicators.__all__
            assert function().meta.output_name() == name
            continue
        assert getattr(ka, name, None) is getattr(kp, name, None) is function
        assert name in ka.__all__
        assert name in kp.__all__
        assert function().meta.output_name() == name
        assert name in ADDED, "a row in the table of this test"


def test_loading_the_module_again_gives_no_warning() -> None:
    importlib.reload(namespace)
