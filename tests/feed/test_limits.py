"""Kite's limits, and how instruments are spread within them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.feed.limits import Limits, spread


@pytest.mark.parametrize("field", ["connections", "instruments_per_connection"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_a_wrong_limit_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Limits(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)


def test_connections_are_numbered_in_a_byte() -> None:
    with pytest.raises(ConfigError, match="from 1 to 256"):
        Limits(connections=257)


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=8),
    st.integers(0, 500),
)
def test_a_spread_is_level_complete_and_within_the_limit(load: list[int], count: int) -> None:
    shares = spread(load, count, limit=50)
    after = [a + b for a, b in zip(load, shares, strict=True)]
    assert sum(shares) == min(count, sum(50 - one for one in load))
    assert max(after) <= 50
    got = [total for total, share in zip(after, shares, strict=True) if share]
    assert not got or max(got) - min(after) <= 1


def test_nothing_is_spread_over_nothing() -> None:
    assert spread([], 5, limit=10) == []
