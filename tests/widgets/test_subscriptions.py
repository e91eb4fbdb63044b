"""The list of subscriptions, and changes that are undone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.widgets.reading import Reading
from kitepolars.widgets.subscriptions import (
    CONFIRMED,
    REQUESTED,
    SILENT,
    SubscriptionChange,
    SubscriptionList,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE
from widgets.page import NIFTY, Page

Show = Callable[..., Page]


STATES = st.dictionaries(st.integers(1, 6), st.sampled_from(["ltp", "quote", "full"]))


class Book:
    """Subscriptions as a dictionary, with the ticker's three verbs."""

    def __init__(self, state: dict[int, str]) -> None:
        self.state = dict(state)

    def subscribe(self, tokens: list[int], mode: Mode) -> None:
        self.state.update(dict.fromkeys(tokens, mode.value))

    set_mode = subscribe

    def unsubscribe(self, tokens: list[int]) -> None:
        for token in tokens:
            del self.state[token]


@given(STATES, STATES)
def test_undo_brings_back_what_was(before: dict[int, str], after: dict[int, str]) -> None:
    change = SubscriptionChange.between(before, after)
    book: Any = Book(after)
    change.undo(book)
    assert book.state == before
    assert bool(change) == (before != after)


def test_a_subscription_is_confirmed_by_a_tick_that_is_newer(
    own_ticker: kp.DemoTicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = SubscriptionList(own_ticker, remove=print, on_reading=lambda _: None)

    def look() -> list[int]:
        return list(listed._rows(Reading(own_ticker))["state"])

    def is_quiet(ticker: kp.Ticker) -> bool:
        last = ticker._held().latest()["received_at"].dt.epoch("ms").item()
        return bool(time.time() * 1000 - last > 300)

    assert look() == [CONFIRMED]
    own_ticker.exchange.silence(newcomers=True)
    assert own_ticker.wait(until=is_quiet, timeout=PATIENCE)
    own_ticker.unsubscribe([NIFTY])
    assert look() == []
    own_ticker.subscribe([NIFTY], mode="full")
    assert look() == [REQUESTED], "the tick that is held is older"
    monkeypatch.setattr("kitepolars.widgets.subscriptions.SILENT_AFTER", 0.0)
    assert look() == [SILENT]
