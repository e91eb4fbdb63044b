from __future__ import annotations

import datetime as dt
import importlib
import threading
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from journal.recorded import plain
from kitepolars.errors import ConfigError, JournalError, NotLive, NotRunning, UnknownInstrument
from kitepolars.journal.reader import read_records
from kitepolars.playback import SAMPLE, ReplayTicker
from patience import PATIENCE
from recordings.conftest import INFY, NIFTY, SBIN, Recorded


def played(recorded: Recorded, **options: object) -> ReplayTicker:
    """Return a ticker that has played a whole recording."""
    ticker = kp.replay(recorded.folder, **{"speed": None, **options})  # type: ignore[arg-type]
    with ticker:
        assert ticker.wait()
    return ticker


@pytest.mark.parametrize("speed", [None, 100.0])
def test_a_replay_gives_what_the_live_ticker_had(recorded: Recorded, speed: float | None) -> None:
    ticker = played(recorded, speed=speed)
    assert_frame_equal(ticker.frame(), recorded.frame)
    assert recorded.frame["is_snapshot"].sum() > 0
    assert recorded.frame["symbol"].null_count() == 0
    assert_frame_equal(ticker.orders(), recorded.orders)
    assert_frame_equal(ticker.gaps(), recorded.gaps)
    assert recorded.gaps.height >= 1
    assert_frame_equal(ticker.events(), recorded.events)
    assert {"rejected", "strategy", "disconnected"} <= set(recorded.events["kind"])
    assert_frame_equal(ticker.connections(), recorded.connections)
    assert_frame_equal(ticker.subscriptions(), recorded.subscriptions)
    assert ticker.stats() == recorded.stats
    assert_frame_equal(ticker.candles("1s", on="received_at"), recorded.candles)


def test_two_replays_call_with_the_same_batches(recorded: Recorded) -> None:
    def batches(speed: float | None) -> list[pl.DataFrame]:
        got: list[pl.DataFrame] = []
        ticker = kp.replay(recorded.folder, speed=speed)
        ticker.on_batch(got.append)
        with ticker:
            stop = threading.Event()
            # readers in other threads, which flush a live ticker, change nothing
            reader = threading.Thread(target=lambda: _read(ticker, stop))
            reader.start()
            assert ticker.wait()
            stop.set()
            reader.join()
        return got

    first, second = batches(None), batches(None)
    assert len(first) > 3
    assert [batch.height for batch in first] == [batch.height for batch in second]
    for one, other in zip(first, second, strict=True):
        assert_frame_equal(one, other)
    assert_frame_equal(pl.concat(first), recorded.frame)


def _read(ticker: kp.Ticker, stop: threading.Event) -> None:
    while not stop.is_set():
        ticker.frame()


def test_a_slow_callback_misses_nothing_as_the_replay_waits_for_it(recorded: Recorded) -> None:
    ticker = kp.replay(recorded.folder, speed=None)
    seen: list[int] = []
    turn = threading.Event()

    @ticker.on_batch
    def slow(batch: pl.DataFrame) -> None:
        turn.wait(0.002)
        assert ticker.frame().height == sum(seen) + batch.height  # the replay stands still
        seen.append(batch.height)

    with ticker:
        assert ticker.wait()
    assert sum(seen) == recorded.frame.height
    assert "callback" not in set(ticker.events()["kind"])


def test_orders_events_and_messages_are_called_back(recorded: Recorded) -> None:
    ticker = kp.replay(recorded.folder, speed=None)
    orders: list[kp.OrderUpdate] = []
    events: list[kp.Event] = []
    messages: list[kp.Message] = []
    ticker.on_order(orders.append)
    ticker.on_event(events.append)
    ticker.on_message(messages.append)
    with ticker:
        assert ticker.wait()
    assert [order.data["status"] for order in orders] == ["OPEN", "COMPLETE"]
    assert len(events) == recorded.events.height
    assert len(messages) == recorded.stats.messages


def test_a_part_of_the_time_is_the_same_part_of_the_frame(recorded: Recorded) -> None:
    times = recorded.frame["received_at"].unique().sort()
    start, end = times[len(times) // 3], times[2 * len(times) // 3]
    ticker = played(recorded, start=start, end=end)
    expected = recorded.frame.filter(pl.col("received_at").is_between(start, end, closed="left"))
    assert_frame_equal(ticker.frame(), expected)
    # what was subscribed at the start is known
    assert INFY in ticker.subscriptions()["instrument_token"]


@pytest.mark.parametrize("chosen", [["NSE:INFY"], [INFY, SBIN]])
def test_some_instruments_are_their_part_of_the_frame(
    recorded: Recorded, chosen: list[str | int]
) -> None:
    ticker = played(recorded, instruments=chosen)
    tokens = [INFY] if len(chosen) == 1 else [INFY, SBIN]
    expected = recorded.frame.filter(pl.col("instrument_token").is_in(tokens))
    assert_frame_equal(ticker.frame(), expected)
    assert set(ticker.subscriptions()["instrument_token"]) == set(tokens)
    assert ticker.orders().height == 2


def test_it_can_be_paused_and_resumed_and_stopped_and_started(recorded: Recorded) -> None:
    ticker = kp.replay(recorded.folder, speed=0.1)
    ticker.pause()
    with ticker:
        assert ticker.is_paused
        assert not ticker.wait(rows=1, timeout=0.01)
        ticker.resume()
        assert ticker.wait(rows=1, timeout=PATIENCE)
        ticker.stop()
        rows = ticker.frame().height
        assert not ticker.is_over
        assert ticker.frame().height == rows
        ticker.start()
        ticker.speed = None
        assert ticker.wait()
    assert_frame_equal(ticker.frame(), recorded.frame)


def test_seeking_is_as_if_it_had_been_played_up_to_there(recorded: Recorded) -> None:
    times = recorded.frame["received_at"].unique().sort()
    middle = times[len(times) // 2]
    before = recorded.frame.filter(pl.col("received_at") < middle)
    ticker = kp.replay(recorded.folder, speed=None)
    ticker.seek(middle)
    assert_frame_equal(ticker.frame(), before)
    assert ticker.position.now == middle
    with ticker:
        assert ticker.wait()
        assert_frame_equal(ticker.frame(), recorded.frame)
        ticker.candles("1s", on="received_at")
        ticker.pause()
        ticker.seek(middle)
        assert not ticker.is_over
        assert_frame_equal(ticker.frame(), before)
        assert ticker.gaps().height <= recorded.gaps.height
        ticker.resume()
        assert ticker.wait()
    assert_frame_equal(ticker.frame(), recorded.frame)
    assert_frame_equal(ticker.gaps(), recorded.gaps)
    assert_frame_equal(ticker.candles("1s", on="received_at"), recorded.candles)
    assert_frame_equal(ticker.events(), recorded.events)


def test_its_clock_is_that_of_the_recording(recorded: Recorded) -> None:
    ticker = played(recorded)
    last = recorded.frame["received_at"].max()
    assert isinstance(last, dt.datetime)
    assert abs(ticker.position.now - ticker.position.end) < dt.timedelta(seconds=1)
    assert ticker.position.fraction > 0.9
    staleness = ticker.latest()["staleness"].min()
    assert isinstance(staleness, dt.timedelta)
    assert staleness < dt.timedelta(seconds=60)  # of the recording, not since it was made


def test_what_only_a_live_ticker_can_do_is_refused_in_words(recorded: Recorded) -> None:
    ticker = kp.replay(recorded.folder)
    with pytest.raises(NotLive, match="this ticker runs on a recording"):
        ticker.subscribe([INFY])


def test_waiting_for_what_never_comes_ends_with_the_recording(recorded: Recorded) -> None:
    with kp.replay(recorded.folder, speed=None) as ticker:
        with pytest.raises(NotRunning, match="the recording is over"):
            ticker.wait(rows=10**9)
        assert ticker.wait(rows=recorded.frame.height)


def test_play_shows_progress_and_returns_at_the_end(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    ticker = kp.replay(recorded.folder, speed=None).play()
    ticker.stop()
    assert_frame_equal(ticker.frame(), recorded.frame)
    assert "100 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"speed": 0}, ConfigError),
        ({"speed": float("nan")}, ConfigError),
        ({"start": dt.datetime(2026, 1, 2), "end": dt.datetime(2026, 1, 1)}, ConfigError),  # noqa: DTZ001
        ({"instruments": ["NSE:NOBODY"]}, UnknownInstrument),
        ({"start": "09:15"}, ConfigError),
    ],
)
def test_wrong_settings_are_refused_at_once(
    recorded: Recorded, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        kp.replay(recorded.folder, **options)  # type: ignore[arg-type]


def test_without_a_recording_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no recording"):
        kp.replay(tmp_path)


def test_the_frame_of_the_journal_is_that_of_the_ticker(recorded: Recorded) -> None:
    lazy = kp.read_journal(recorded.folder)
    assert lazy.collect_schema() == recorded.frame.schema
    assert_frame_equal(lazy.collect(), recorded.frame)
    some = lazy.filter(pl.col("instrument_token") == INFY).select("last_price", "received_at")
    expected = recorded.frame.filter(pl.col("instrument_token") == INFY)
    assert_frame_equal(some.collect(), expected.select("last_price", "received_at"))
    both = (pl.col("symbol") == "NSE:INFY") & (pl.col("last_price") > 0)
    assert_frame_equal(lazy.filter(both).collect(), recorded.frame.filter(both))
    either = (pl.col("symbol") == "NSE:INFY") | (pl.col("mode") == "ltp")
    assert_frame_equal(lazy.filter(either).collect(), recorded.frame.filter(either))
    assert lazy.head(7).collect().height == 7
    assert_frame_equal(lazy.select(pl.len()).collect(), recorded.frame.select(pl.len()))
    chosen = kp.read_journal(recorded.folder, instruments=["NSE:NIFTY 50"]).collect()
    assert set(chosen["instrument_token"]) == {NIFTY}
    times = recorded.frame["received_at"].unique().sort()
    start, end = times[5], times[-5]
    part = kp.read_journal(recorded.folder, start=start, end=end).collect()
    expected = recorded.frame.filter(pl.col("received_at").is_between(start, end, closed="left"))
    assert_frame_equal(part, expected)


def test_the_sample_is_small_and_has_something_to_show() -> None:
    assert SAMPLE.stat().st_size < 300_000
    ticker = kp.sample(speed=None).play(progress=False)
    ticker.stop()
    frame = ticker.frame()
    assert frame["symbol"].null_count() == 0
    assert frame["is_snapshot"].any()
    assert ticker.gaps().height == 1
    assert ticker.orders(latest=True)["status"].to_list() == ["COMPLETE"]
    assert ticker.option_chain("NIFTY").height > 0
    assert ticker.position.fraction == 1.0


def test_the_sample_is_what_its_script_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    record_sample = importlib.import_module("record_sample")
    again = tmp_path / "again" / "sample.kpj.zst"
    monkeypatch.setattr(record_sample, "SAMPLE", again)
    record_sample.main()
    old, new = ([plain(r) for r in read_records(path)] for path in (SAMPLE, again))
    assert old == new
