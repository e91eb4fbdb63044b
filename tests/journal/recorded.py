"""Arbitrary records, for the tests of the journal."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from kitepolars.journal.codec import decode
from kitepolars.journal.format import Entry
from kitepolars.journal.segments import segments
from kitepolars.source import (
    ClockMoved,
    ConnectionChanged,
    ConnectionState,
    Event,
    Heartbeats,
    Listing,
    Lost,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Text,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode

connections = st.integers(0, 254)
tokens = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple)
# Messages shorter than two bytes are heartbeats, which no record of messages holds.
messages = st.lists(st.binary(min_size=2, max_size=300), min_size=1, max_size=4)
texts = st.text(max_size=50)


def records_at(times: st.SearchStrategy[int]) -> st.SearchStrategy[Record]:
    """Return arbitrary records of arbitrary times."""
    return st.one_of(
        st.builds(Messages, times, connections, messages),
        st.builds(Heartbeats, times, connections, st.integers(1, 1_000)),
        st.builds(Text, times, connections, texts),
        st.builds(SnapshotsExpected, times, connections, tokens),
        st.builds(Subscribed, times, st.sampled_from(Mode), tokens),
        st.builds(Unsubscribed, times, tokens),
        st.builds(Lost, times, connections, texts, times, texts, tokens),
        st.builds(Stopped, times),
        st.builds(Listing, times, st.binary(max_size=100)),
        st.builds(ClockMoved, times, st.integers(0, 2**40)),
        st.builds(Event, times, st.none() | connections, texts, texts),
        st.builds(
            ConnectionChanged,
            times,
            connections,
            texts,
            st.sampled_from(ConnectionState),
            texts,
            st.integers(0, 3_000),
            st.integers(0, 9),
        ),
    )


records = records_at(st.integers(0, 2**62))


def plain(record: Record) -> Record:
    """Return a record that compares by value: messages as a list of bytes."""
    if isinstance(record, Messages):
        return record._replace(messages=list(record.messages))
    return record


def read_entries(folder: Path) -> list[Entry]:
    """Return every intact entry of a journal."""
    return [entry for segment in segments(folder) for entry in segment.read()]


def read_records(folder: Path) -> list[Record]:
    """Return every intact record of a journal, messages as lists."""
    return [plain(decode(entry)) for entry in read_entries(folder)]


def ticks(number: int, at: int, connection: int = 0) -> Messages:
    """Return a read of one message that tells its number."""
    return Messages(at, connection, [f"message {number}".encode()])
