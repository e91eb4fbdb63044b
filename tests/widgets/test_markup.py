"""The HTML of the panel."""

from __future__ import annotations

import kitepolars as kp
from kitepolars.widgets.markup import message, meters, status_line


def test_capacity_and_state_are_shown_and_escaped(own_ticker: kp.Ticker) -> None:
    frame = own_ticker.connections()
    assert "1 / 3,000" in meters(frame)
    assert "Running: 1 of 1 connection open" in status_line(frame, running=True)
    assert "Stopped" in status_line(frame, running=False)
    evil = frame.with_columns(account=frame["account"].str.replace_all(".+", "<script>"))
    assert "<script>" not in meters(evil)
    expired = frame.with_columns(state=frame["state"].str.replace_all(".+", "expired"))
    assert "set_access_token" in status_line(expired, running=False)
    assert "&lt;b&gt;" in message("<b>", "error")
