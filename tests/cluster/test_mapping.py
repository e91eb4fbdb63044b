"""`map_days`: what it returns, and what it raises."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from threading import Lock

import polars as pl
import pytest

import kitepolars as kp
from cluster.conftest import DAYS, SBIN, highest


def test_results_are_in_the_order_of_days(recording: Path) -> None:
    answer = kp.map_days(highest, recording, progress=False)
    assert answer["day"].to_list() == [day for day in DAYS for _ in range(2)]
    assert answer["last_price"].to_list()[::2] == [
        (100_009 + 1_000 * n) / 100 for n in range(len(DAYS))
    ]
    assert answer.schema["mode"] == kp.read_journal(recording).collect_schema()["mode"]


def test_days_and_instruments_are_chosen(recording: Path) -> None:
    some = kp.map_days(
        highest, recording, start=DAYS[1], end=DAYS[2], instruments=[SBIN], progress=False
    )
    assert some["day"].to_list() == DAYS[1:3]
    assert set(some["instrument_token"]) == {SBIN}
    with pytest.raises(kp.ConfigError, match="a recording that has some of these days"):
        kp.map_days(highest, recording, start=dt.date(2027, 1, 1))


def failing(ticks: pl.LazyFrame) -> pl.DataFrame:
    """Fail on one day."""
    frame = ticks.collect()
    if frame["received_at"][0].date() == DAYS[3]:
        raise ZeroDivisionError("no such price")
    return frame.head(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_says_for_which_day(recording: Path, workers: int) -> None:
    with pytest.raises(
        kp.PartitionFailed, match="2026-11-19: ZeroDivisionError: no such"
    ) as caught:
        kp.map_days(failing, recording, workers=workers, progress=False)
    assert "in failing" in caught.value.__notes__[0]


def test_the_columns_must_be_the_same_each_day(recording: Path) -> None:
    def odd(ticks: pl.LazyFrame) -> pl.DataFrame:
        frame = ticks.collect()
        return frame.select("mode" if frame["received_at"][0].day == 19 else "last_price")

    with pytest.raises(kp.ConfigError, match="other columns for 2026-11-19 than for 2026-11-16"):
        kp.map_days(odd, recording, progress=False)
    with pytest.raises(kp.PartitionFailed, match="returned int, not a frame"):
        kp.map_days(lambda _: 1, recording, progress=False)  # type: ignore[arg-type, return-value]


def test_what_cannot_be_sent_is_refused_at_once(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock()
    with pytest.raises(kp.ConfigError, match="function cannot be sent to workers: "):
        kp.map_days(lambda ticks: (lock, ticks)[1], recording, workers=2, progress=False)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    monkeypatch.setattr(failing, "__module__", "__main__")
    with pytest.raises(kp.ConfigError, match=r"kitepolars\[dask\]"):
        kp.map_days(failing, recording, workers=2, progress=False)
    with pytest.raises(kp.ConfigError, match="workers must be at least 1"):
        kp.map_days(failing, recording, workers=0)


def test_a_progress_bar_counts_the_days(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kp.map_days(highest, recording)
    assert "100%" in capsys.readouterr().out
