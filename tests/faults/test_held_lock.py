"""A cell that holds the interpreter lock: what was lost is reported."""

from __future__ import annotations

import ctypes
import datetime as dt
import sys

import pytest

import kitepolars as kp
from patience import PATIENCE


@pytest.mark.skipif(sys.platform == "win32", reason="usleep is POSIX")
def test_a_held_interpreter_lock_is_a_gap_that_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kitepolars.feed.clock._STALL_AFTER", 700_000_000)  # three seconds are long
    monkeypatch.setattr("kitepolars.feed.losses.SETTLING", 0.1)
    with kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=20) as ticker:
        assert ticker.wait(rows=4, timeout=PATIENCE)
        ctypes.PyDLL(None).usleep(900_000)  # a foreign function that does not release the lock
        assert ticker.wait(until=lambda ticker: not ticker.gaps().is_empty(), timeout=PATIENCE)
        assert ticker.wait(
            until=lambda ticker: (ticker.gaps()["waiting"] == 0).all(), timeout=PATIENCE
        )
        gaps, frame = ticker.gaps(), ticker.frame()
        assert ticker.stats().reconnects == 0
    lengths = (gaps["ended_at"] - gaps["started_at"]).dt.total_milliseconds()
    assert max(lengths) >= 700  # a busy machine may have made others
    assert gaps["reason"].str.contains("the interpreter lock was held").all()
    assert set(gaps["instruments"]) <= {1, 2}
    for gap in gaps.iter_rows(named=True):
        held_until = gap["started_at"] + dt.timedelta(milliseconds=700)
        is_inside = (frame["received_at"] > gap["started_at"]) & (frame["received_at"] < held_until)
        assert frame.filter(is_inside).is_empty()
    assert "stalled" in ticker.events()["kind"].to_list()
