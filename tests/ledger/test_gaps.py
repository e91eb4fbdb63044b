"""Gaps: each belongs to instruments, and ends with their own packets."""

from __future__ import annotations

import pytest

from kitepolars.ledger.gaps import Gaps
from kitepolars.source import (
    ConnectionChanged,
    ConnectionState,
    Heartbeats,
    Lost,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Text,
    Unsubscribed,
)


def lost(connection: int, *tokens: int, since: int = 5) -> Lost:
    return Lost(since + 1, connection, "main", since, "silent for 5.0 s", tokens)


def shown(gaps: Gaps) -> list[tuple[int, int | None, int, int]]:
    return [(g.connection, g.ended_at, g.instruments, g.waiting) for g in gaps.snapshot()]


def test_a_gap_ends_with_a_packet_of_its_own_instruments() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1, 2))
    gaps.take(lost(1, 3, since=3))
    gaps.arrived({9: 8})
    assert shown(gaps) == [(1, None, 1, 1), (0, None, 2, 2)]
    gaps.arrived({2: 11, 9: 8})
    gaps.arrived({1: 14})
    assert shown(gaps) == [(1, None, 1, 1), (0, 11, 2, 0)]
    assert len(gaps) == 2


def test_an_instrument_without_a_packet_is_not_lost_twice() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1, 2))
    gaps.arrived({1: 8})
    gaps.take(lost(0, 1, 2, since=20))
    assert shown(gaps) == [(0, 8, 2, 1), (0, None, 1, 1)]
    gaps.take(lost(0, 1, 2, since=30))
    assert len(gaps) == 2


def test_unsubscribed_instruments_are_not_waited_for() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1, 2))
    gaps.take(Unsubscribed(9, (1,)))
    assert shown(gaps) == [(0, None, 2, 1)]
    gaps.take(Unsubscribed(10, (2, 3)))
    assert shown(gaps) == [(0, 10, 2, 0)]


def test_a_stop_ends_all_gaps() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1))
    gaps.take(lost(2, 2))
    gaps.arrived({1: 7})
    gaps.take(Stopped(9))
    assert [gap.ended_at for gap in gaps.snapshot()] == [7, 9]


@pytest.mark.parametrize(
    "record", [Heartbeats(9, 0, 1), Text(9, 0, "{}"), Messages(9, 0, [b"message"])]
)
def test_a_lost_connection_without_instruments_may_miss_order_updates(record: Record) -> None:
    gaps = Gaps()
    gaps.take(lost(0))
    gaps.take(Heartbeats(8, 1, 1))
    assert shown(gaps) == [(0, None, 0, 0)]
    gaps.take(record)
    assert shown(gaps) == [(0, 9, 0, 0)]


def test_without_a_decoder_the_first_message_after_a_loss_counts_where_the_connection_stayed() -> (
    None
):
    gaps = Gaps()
    gaps.take(ConnectionChanged(3, 0, "main", ConnectionState.OPEN, "ws://", 2, 0))
    gaps.take(lost(0, 1, 2))
    gaps.take(Heartbeats(8, 0, 1))
    assert shown(gaps) == [(0, None, 2, 2)]
    gaps.take(Messages(9, 0, [b"message"]))
    assert shown(gaps) == [(0, 9, 2, 0)]


def test_without_a_decoder_the_first_message_after_a_subscription_counts_for_its_instruments() -> (
    None
):
    gaps = Gaps()
    gaps.take(lost(0, 1, 2))
    gaps.take(Messages(8, 1, [b"other"]))
    gaps.take(SnapshotsExpected(9, 1, (1, 2)))
    assert shown(gaps) == [(0, None, 2, 2)]
    gaps.take(Messages(10, 1, [b"message"]))
    assert shown(gaps) == [(0, 10, 2, 0)]


def test_a_loss_that_is_delivered_again_did_not_end_in_between() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1, 2))
    gaps.take(lost(1, 3))
    gaps.arrived({1: 8, 2: 8, 3: 8})
    assert shown(gaps) == [(0, 8, 2, 0), (1, 8, 1, 0)]
    gaps.take(lost(0, 1, 2))
    assert shown(gaps) == [(0, None, 2, 2), (1, 8, 1, 0)]
    gaps.arrived({1: 11})
    gaps.take(lost(0, 2))
    assert shown(gaps) == [(0, None, 2, 1), (1, 8, 1, 0)]
    gaps.arrived({2: 15})
    assert shown(gaps) == [(0, 15, 2, 0), (1, 8, 1, 0)]


def test_a_loss_of_order_updates_that_is_delivered_again_did_not_end_in_between() -> None:
    gaps = Gaps()
    gaps.take(lost(0))
    gaps.take(Heartbeats(9, 0, 1))
    gaps.take(lost(0))
    assert shown(gaps) == [(0, None, 0, 0)]
    gaps.take(Heartbeats(12, 0, 1))
    assert shown(gaps) == [(0, 12, 0, 0)]


def test_a_loss_that_continues_does_not_end_before_it_is_delivered_again() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1, 2)._replace(continues=True))
    gaps.arrived({1: 8, 2: 8})
    assert shown(gaps) == [(0, None, 2, 2)]
    assert [record.continues for record in gaps.records(9)] == [True]
    gaps.take(lost(0, 1, 2))
    gaps.arrived({1: 11, 2: 12})
    assert shown(gaps) == [(0, 11, 2, 0)]


def test_a_loss_of_order_updates_that_continues_does_not_end_with_a_heartbeat() -> None:
    gaps = Gaps()
    gaps.take(lost(0)._replace(continues=True))
    gaps.take(Heartbeats(9, 0, 1))
    assert shown(gaps) == [(0, None, 0, 0)]
    gaps.take(lost(0))
    gaps.take(Heartbeats(12, 0, 1))
    assert shown(gaps) == [(0, 12, 0, 0)]


def test_a_loss_that_nobody_delivers_again_ends_after_the_next_connection() -> None:
    gaps = Gaps()
    gaps.take(lost(0, 1)._replace(continues=True))
    gaps.take(lost(1)._replace(continues=True))
    for connection in (0, 1):  # of a recorder that was killed meanwhile
        gaps.take(ConnectionChanged(20, connection, "main", ConnectionState.OPEN, "wss://…", 1, 0))
    gaps.arrived({1: 23})
    gaps.take(Heartbeats(24, 1, 1))
    assert shown(gaps) == [(0, 23, 1, 0), (1, 24, 0, 0)]
