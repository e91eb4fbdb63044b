"""A running ticker that records what it receives, in its own process."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.errors import JournalError
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

from ticker.conftest import INFY, SBIN, MakeTicker  # isort: skip


@pytest.fixture
def subscribed(ticker: kp.Ticker, kite: SimulatedKite) -> kp.Ticker:
    ticker.subscribe([INFY, SBIN], mode="full")
    assert kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
    assert ticker.wait(rows=2, timeout=PATIENCE)
    return ticker


def receive(ticker: kp.Ticker, kite: SimulatedKite) -> None:
    kite.step()
    rows = kite.packets_sent
    assert ticker.wait(rows=rows, timeout=PATIENCE)


def test_a_recording_has_the_ticks_from_its_start_to_its_end(
    subscribed: kp.Ticker, kite: SimulatedKite, tmp_path: Path
) -> None:
    before = subscribed.frame().height
    recorder = subscribed.record(tmp_path)
    receive(subscribed, kite)
    recorder.end()
    expected = subscribed.frame().slice(before)
    receive(subscribed, kite)
    assert expected.height == 2
    assert_frame_equal(kp.read_journal(tmp_path).collect(), expected)


def test_a_folder_has_one_recorder_until_it_is_ended(subscribed: kp.Ticker, tmp_path: Path) -> None:
    recorder = subscribed.record(tmp_path)
    assert subscribed.record(tmp_path) is recorder
    assert recorder.is_recording
    recorder.end()
    recorder.end()
    assert not recorder.is_recording
    another = subscribed.record(tmp_path)
    assert another is not recorder
    another.end()


def test_it_continues_when_the_ticker_is_stopped_and_started(
    subscribed: kp.Ticker, kite: SimulatedKite, tmp_path: Path
) -> None:
    recorder = subscribed.record(tmp_path)
    subscribed.stop()
    on_disk = recorder.stats()
    assert on_disk.records > 0
    subscribed.start()
    assert kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
    receive(subscribed, kite)
    recorder.end()
    assert kp.read_journal(tmp_path).collect().height >= 2
    assert "records" in repr(recorder)


def test_two_tickers_cannot_record_into_a_folder(
    subscribed: kp.Ticker, make_ticker: MakeTicker, tmp_path: Path
) -> None:
    recorder = subscribed.record(tmp_path)
    with pytest.raises(JournalError):
        make_ticker().record(tmp_path)
    recorder.end()
