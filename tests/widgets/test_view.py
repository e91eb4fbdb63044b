"""What all widgets share: the keywords they refuse, the state that a page gets."""

from __future__ import annotations

from typing import Any

import pytest

import kitepolars as kp
from kitepolars.widgets import Chart, Controls, Dashboard, Ladder, LiveTable, Monitor


@pytest.mark.parametrize("widget", [Chart, Controls, Dashboard, Ladder, LiveTable, Monitor])
def test_unknown_keywords_are_refused(ticker: kp.Ticker, widget: Any) -> None:
    with pytest.raises(TypeError, match="colums"):
        widget(ticker, colums=1)


def test_no_widget_state_holds_a_token() -> None:
    secret = "S3cretAccessToken"
    with kp.demo(instruments=["NSE:INFY"]) as other:
        other.set_access_token(secret)
        dashboard = Dashboard(other, "NSE:INFY")
        for part in [dashboard, *dashboard.controls.children, dashboard.table, dashboard.chart]:
            assert secret not in str(part.get_state())
