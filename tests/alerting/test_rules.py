"""An alert fires when its condition becomes true: at the same rows, however they come."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kitepolars as kp
from alerting.reference import fires
from kitepolars.alerting.rows import RowsToCheck
from kitepolars.alerting.rules import Rule, Watch, evaluate
from kitepolars.frames.index import TokenIndex

SECOND = 1_000_000


def ticks_of(*rows: tuple[int, int, float | None]) -> pl.DataFrame:
    """Return ticks of (second, instrument, price)."""
    return pl.DataFrame(
        [(token, price, at * SECOND) for at, token, price in rows],
        schema={"instrument_token": pl.UInt32, "last_price": pl.Float64, "received_at": pl.Int64},
        orient="row",
    ).with_columns(
        pl.from_epoch("received_at", "us").dt.replace_time_zone("UTC"),
        symbol=pl.concat_str(pl.lit("NSE:"), "instrument_token"),
    )


def seconds(frame: pl.DataFrame) -> list[tuple[int, int]]:
    times = frame["fired_at"].dt.epoch("s")
    return list(zip(times.to_list(), frame["instrument_token"].to_list(), strict=True))


ABOVE = pl.col("last_price") > 10


def test_it_fires_when_the_condition_becomes_true_and_again_after_it_was_false() -> None:
    ticks = ticks_of((0, 1, 11), (1, 1, 12), (2, 2, 9), (3, 1, 9), (4, 2, 11), (5, 1, 11))
    found = kp.alerts(ticks, ABOVE, name="above")
    assert found.schema == kp.ALERTS
    assert seconds(found) == [(0, 1), (4, 2), (5, 1)]
    assert found["name"].unique().to_list() == ["above"]
    assert found["symbol"].to_list() == ["NSE:1", "NSE:2", "NSE:1"]
    assert found["price"].to_list() == [11, 11, 11]


def test_a_null_is_neither_true_nor_false() -> None:
    ticks = ticks_of((0, 1, 11), (1, 1, None), (2, 1, 12), (3, 1, 9), (4, 1, None), (5, 1, 11))
    assert seconds(kp.alerts(ticks, ABOVE)) == [(0, 1), (5, 1)]


def test_a_condition_has_to_last() -> None:
    ticks = ticks_of((0, 1, 11), (20, 1, 11), (29, 1, 9), (30, 1, 11), (59, 1, 11), (61, 1, 11))
    assert seconds(kp.alerts(ticks, ABOVE, lasting="30s")) == [(61, 1)]
    assert seconds(kp.alerts(ticks, ABOVE, lasting=dt.timedelta(seconds=20))) == [(20, 1), (59, 1)]


def test_a_cooldown_is_of_one_instrument() -> None:
    ticks = ticks_of(*[(at, token, 9 + 2 * (at % 2)) for at in range(8) for token in (1, 2)])
    assert seconds(kp.alerts(ticks, ABOVE)) == [(at, t) for at in (1, 3, 5, 7) for t in (1, 2)]
    cooled = kp.alerts(ticks, ABOVE, cooldown=3)
    assert seconds(cooled) == [(1, 1), (1, 2), (5, 1), (5, 2)]
    assert seconds(kp.alerts(ticks, ABOVE, once=True)) == [(1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("direction", "want"), [("up", [2, 6]), ("down", [4]), ("both", [2, 4, 6])]
)
def test_a_crossing_has_a_side_to_come_from(direction: Any, want: list[int]) -> None:
    prices = [10.0, 10.0, 11.0, 12.0, 9.0, 10.0, 11.0]
    ticks = ticks_of(*[(at, 1, price) for at, price in enumerate(prices)])
    found = kp.alerts(ticks, kp.crosses("last_price", 10, direction))
    assert [at for at, _ in seconds(found)] == want
    beyond = ticks_of((0, 1, 11), (1, 1, 12))
    assert kp.alerts(beyond, kp.crosses("last_price", 10, direction)).is_empty()


def test_a_crossing_of_two_columns() -> None:
    ticks = ticks_of((0, 1, 9), (1, 1, 11), (2, 1, 12)).with_columns(
        average_traded_price=pl.Series([10.0, 10.5, 12.5])
    )
    found = kp.alerts(ticks, kp.crosses("last_price", "average_traded_price"))
    assert seconds(found) == [(1, 1), (2, 1)]


def test_cached_values_do_not_count_unless_asked() -> None:
    ticks = ticks_of((0, 1, 11), (1, 1, 12), (2, 1, 9), (3, 1, 11)).with_columns(
        is_snapshot=pl.Series([True, False, False, False])
    )
    assert seconds(kp.alerts(ticks, ABOVE)) == [(1, 1), (3, 1)]
    assert seconds(kp.alerts(ticks, ABOVE, snapshots=True)) == [(0, 1), (3, 1)]
    assert kp.alerts(ticks.lazy(), ABOVE).height == 2


def test_candles_are_looked_at_when_they_are_finished() -> None:
    opened = 1_795_146_300  # 09:15 in India
    prices = [100, 101, 103, 102, 99, 98, 104, 105, 106, 107]
    ticks = ticks_of(*[(opened + 60 * at, 408065, p) for at, p in enumerate(prices)])
    found = kp.alerts(
        ticks,
        pl.col("close") > pl.col("sma"),
        every="1m",
        on="received_at",
        indicators=[kp.indicators.sma(3)],
    )
    # The bars of 103 (the mean is 101.3) and 104; the last bar is still forming.
    assert [at - opened for at, _ in seconds(found)] == [180, 420]
    assert found["price"].to_list() == [103, 104]


@pytest.mark.parametrize(
    "setting", [{"lasting": -1}, {"cooldown": "1 hour"}, {"lasting": 1e6}, {"name": ""}]
)
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(kp.ConfigError):
        kp.alerts(ticks_of((0, 1, 1)), ABOVE, **setting)
    with pytest.raises(kp.ConfigError, match="received_at"):
        kp.alerts(ticks_of((0, 1, 1)).drop("received_at"), ABOVE)


@dataclass(frozen=True)
class Settings:
    lasting: int
    cooldown: int
    once: bool


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from([9.0, 10.0, 11.0, None])),
        max_size=60,
    ),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    setting=st.builds(
        Settings, st.sampled_from([0, 2, 5]), st.sampled_from([0, 3, 9]), st.booleans()
    ),
    is_crossing=st.booleans(),
)
def test_any_split_of_the_rows_fires_as_the_reference(
    rows: list[tuple[int, int, float | None]],
    cuts: list[int],
    setting: Settings,
    *,
    is_crossing: bool,
) -> None:
    at = np.cumsum([0, *[step for step, _, _ in rows]])[1:].tolist()
    ticks = ticks_of(*[(t, token, price) for t, (_, token, price) in zip(at, rows, strict=True)])
    condition = kp.crosses("last_price", 10, "up") if is_crossing else ABOVE
    rule = Rule.make(condition, ticks.schema, name=None, **asdict(setting))
    watch, index, found = Watch(rule), TokenIndex(), []
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in pairwise(edges):
        part = ticks[start:stop]
        chunk = RowsToCheck.of_frame(
            part,
            index.slots(part["instrument_token"].to_numpy()),
            part["received_at"].to_numpy().view(np.int64),
        )
        (fired,) = evaluate([watch], chunk, [None])
        found += (fired + start).tolist()
    want = fires(
        [
            {"at": t, "instrument_token": token, "price": price}
            for t, (_, token, price) in zip(at, rows, strict=True)
        ],
        lambda row: None if row["price"] is None else row["price"] > 10,
        is_crossing=is_crossing,
        **asdict(setting),
    )
    assert found == want
    whole = kp.alerts(ticks, condition, **asdict(setting))
    assert seconds(whole) == [(at[row], rows[row][1]) for row in want]
