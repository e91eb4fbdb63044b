"""Listeners: guarded, and removed when their owner is gone."""

from __future__ import annotations

import pytest

from kitepolars.listeners import Gone, Listeners


def test_a_listener_may_be_added_twice_and_leave_while_it_is_called() -> None:
    listeners = Listeners[int]()
    heard: list[int] = []
    first = listeners.add(heard.append)
    listeners.add(lambda _: first())
    listeners.add(heard.append)
    listeners.tell(1)
    listeners.tell(2)
    assert heard == [1, 1, 2]


def test_a_listener_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    listeners = Listeners[int]()
    heard: list[int] = []
    listeners.add(lambda item: 1 // item)
    listeners.add(heard.append)
    listeners.tell(0)
    assert heard == [0]
    assert "ZeroDivisionError" in caplog.text


def test_a_listener_whose_owner_is_gone_is_removed_silently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners = Listeners[int]()

    def gone(_: int) -> None:
        raise Gone

    listeners.add(gone)
    listeners.tell(1)
    assert len(listeners) == 0
    assert caplog.text == ""
