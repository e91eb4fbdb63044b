"""The arrays of a chart's bars: what changed in them, and how many decimals they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kitepolars.widgets.bars import first_change, precision_of


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ([[1, 5]], [[1, 5]], 1),
        ([[1, 5]], [[1, 6]], 0),
        ([[1, 5], [2, 5]], [[1, 5], [2, 6], [3, 6]], 1),
        ([[1, np.nan]], [[1, np.nan], [2, 1]], 1),
        ([[1, 5], [2, 5]], [[2, 5]], 0),
    ],
)
def test_the_first_change_is_found(old: Any, new: Any, first: int) -> None:
    assert first_change(np.array(old, float), np.array(new, float)) == first


def test_decimals_follow_the_prices() -> None:
    bar = np.array([[0, 1573.7, 1573.75, 1573.65, 1573.7, 1]])
    assert precision_of(bar) == 2
    assert precision_of(bar / 1000) == 4
