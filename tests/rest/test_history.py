"""Historical candles: requests cut to Kite's limits, answers in the schema of live candles."""

import warnings
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import rich
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.analytics import CANDLES
from kitepolars.calendar import IST
from kitepolars.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionLost,
    KitePolarsError,
    UnknownInstrument,
)
from kitepolars.feed.account import Account
from kitepolars.instruments import Instruments, RejectedRowsWarning
from kitepolars.playback import SAMPLE
from kitepolars.rest import historical, history
from kitepolars.rest.history import KITE_INTERVALS, split
from rest.stand_in import Answer, FakeTime, KiteApi, Request

ACCOUNT = Account("main", "my_key", "my_token")
INFY = 408065
ROWS: list[list[Any]] = [
    ["2017-12-15T09:15:00+0530", 1704.5, 1705, 1699.25, 1702.8, 2499],
    ["2017-12-15T09:16:00+0530", 1702, 1702, 1698.15, 1698.15, 1271],
]
DUMP = b"""instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,\
lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
"""


def fetch(
    kite: KiteApi,
    time: FakeTime,
    interval: Any = "minute",
    start: Any = "2017-12-15",
    end: Any = "2017-12-15",
    **more: Any,
) -> pl.DataFrame:
    return historical(
        ACCOUNT, more.pop("instrument", INFY), interval, start, end,
        url=kite.url, pace=time.pace(), progress=False, **more,
    )  # fmt: skip


def candles(rows: list[list[Any]]) -> Answer:
    return Answer.success({"candles": rows})


def test_one_request(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [candles(ROWS)]
    frame = fetch(kite, fake_time)

    (request,) = kite.requests
    assert request.path == "/instruments/historical/408065/minute"
    assert request.params == {
        "from": "2017-12-15 00:00:00",
        "to": "2017-12-15 23:59:59",
        "continuous": "0",
        "oi": "0",
    }
    assert frame.schema == CANDLES
    assert frame.row(0) == (
        INFY, None, datetime(2017, 12, 15, 9, 15, tzinfo=IST), 1704.5, 1705.0, 1699.25, 1702.8,
        2499, None, None, None, False,
    )  # fmt: skip
    assert frame["start"].dt.hour().to_list() == [9, 9]
    assert frame["volume"].to_list() == [2499, 1271]


def test_open_interest_and_continuous(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [candles([[*ROWS[0], 13667775]])]
    frame = fetch(kite, fake_time, "day", oi=True, continuous=True)
    assert frame["oi"].to_list() == [13667775]
    assert kite.requests[0].params["oi"] == "1"
    assert kite.requests[0].params["continuous"] == "1"


def test_no_candles(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [candles([])]
    frame = fetch(kite, fake_time)
    assert frame.schema == CANDLES
    assert frame.is_empty()


def test_it_goes_together_with_live_candles(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [candles(ROWS)]
    live = pl.DataFrame(schema=CANDLES)
    assert pl.concat([fetch(kite, fake_time), live]).height == 2


def test_it_goes_together_with_the_candles_of_a_scan(
    kite: KiteApi, fake_time: FakeTime, tmp_path: Path
) -> None:
    kp.publish(SAMPLE, tmp_path)
    recorded = kp.candles(kp.scan(tmp_path, instruments=[INFY]), "1m")
    assert recorded.collect_schema() == CANDLES
    kite.script = [candles(ROWS)]
    both = pl.concat(
        [fetch(kite, fake_time, instruments=Instruments.read_csv(DUMP)).lazy(), recorded]
    )
    answer = both.collect()
    assert answer["start"].is_sorted()
    assert answer["symbol"].unique().to_list() == ["NSE:INFY"]
    assert answer.height == 2 + recorded.collect().height


def test_names(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = lambda _: candles(ROWS)
    known = Instruments.read_csv(DUMP)
    for instrument in ("nse:infy", INFY):
        frame = fetch(kite, fake_time, instrument=instrument, instruments=known)
        assert frame["symbol"].to_list() == ["NSE:INFY"] * 2
    assert {request.path for request in kite.requests} == {"/instruments/historical/408065/minute"}
    with pytest.raises(UnknownInstrument, match="NSE:INFY"):
        fetch(kite, fake_time, instrument="NSE:INFI", instruments=known)
    with pytest.raises(UnknownInstrument, match="instruments="):
        fetch(kite, fake_time, instrument="NSE:INFY")
    with pytest.raises(ConfigError, match="instrument"):
        fetch(kite, fake_time, instrument=0)


@pytest.mark.parametrize(
    ("interval", "name"),
    [("minute", "minute"), ("1m", "minute"), ("3m", "3minute"), ("5minute", "5minute"),
     ("10m", "10minute"), ("15m", "15minute"), ("30m", "30minute"), ("1h", "60minute"),
     ("60m", "60minute"), ("1d", "day"), ("day", "day"), (timedelta(minutes=5), "5minute")],
)  # fmt: skip
def test_intervals(kite: KiteApi, fake_time: FakeTime, interval: Any, name: str) -> None:
    kite.script = [candles([])]
    fetch(kite, fake_time, interval)
    assert kite.requests[0].path.endswith(f"/{name}")


@pytest.mark.parametrize("interval", ["2m", "1s", "week", "", 5, "4h"])
def test_an_interval_that_kite_does_not_keep(
    kite: KiteApi, fake_time: FakeTime, interval: Any
) -> None:
    with pytest.raises(ConfigError):
        fetch(kite, fake_time, interval)
    assert kite.requests == []


@pytest.mark.parametrize(
    ("start", "end", "asked"),
    [
        (date(2026, 1, 1), date(2026, 1, 2), ("2026-01-01 00:00:00", "2026-01-02 23:59:59")),
        ("2026-01-01", "2026-01-01 10:00", ("2026-01-01 00:00:00", "2026-01-01 10:00:00")),
        (
            datetime(2026, 1, 1, 9, 15),  # noqa: DTZ001 -- a time without a zone is Indian
            datetime(2026, 1, 1, 4, 0, 0, 5, tzinfo=UTC),
            ("2026-01-01 09:15:00", "2026-01-01 09:30:00"),
        ),
        ("2026-01-01T20:00:00Z", "2026-01-02", ("2026-01-02 01:30:00", "2026-01-02 23:59:59")),
    ],
)
def test_times(
    kite: KiteApi, fake_time: FakeTime, start: Any, end: Any, asked: tuple[str, str]
) -> None:
    kite.script = [candles([])]
    fetch(kite, fake_time, start=start, end=end)
    params = kite.requests[0].params
    assert (params["from"], params["to"]) == asked


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [("2026-01-02", "2026-01-01", "end"), ("yesterday", "2026-01-01", "start"),
     ("2026-01-01", 5, "end"), (None, "2026-01-01", "start"),
     ("0001-01-01", "2026-01-01", "start"), ("1970-12-31", "2026-01-01", "start"),
     ("2026-01-01", "2100-01-01", "end"), ("2026-01-01", date.max, "end"),
     (datetime.min.replace(tzinfo=UTC), "2026-01-01", "start"),
     ("2026-01-01", datetime.max.replace(tzinfo=UTC), "end")],
)  # fmt: skip
def test_impossible_times(
    kite: KiteApi, fake_time: FakeTime, start: Any, end: Any, field: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{field}"):
        fetch(kite, fake_time, start=start, end=end)
    assert kite.requests == []


def minutes_of(request: Request) -> Answer:
    """Answer with a candle at the first and one at the last minute asked for."""
    times = (datetime.fromisoformat(request.params[name]) for name in ("from", "to"))
    return candles([[f"{t:%Y-%m-%dT%H:%M:00}+0530", 1, 1, 1, 1, 1] for t in times])


def test_a_long_time_is_cut_into_requests_at_kites_pace(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = minutes_of
    frame = fetch(kite, fake_time, start="2026-01-01 12:00", end="2026-06-30")

    asked = [(request.params["from"], request.params["to"]) for request in kite.requests]
    assert asked == [
        ("2026-01-01 12:00:00", "2026-03-01 23:59:59"),
        ("2026-03-02 00:00:00", "2026-04-30 23:59:59"),
        ("2026-05-01 00:00:00", "2026-06-29 23:59:59"),
        ("2026-06-30 00:00:00", "2026-06-30 23:59:59"),
    ]
    assert frame.height == 8
    assert frame["start"].is_sorted()
    assert fake_time.now == pytest.approx(1.0)


def test_a_candle_that_comes_twice_is_kept_once(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [candles([ROWS[1], ROWS[0], [*ROWS[1][:4], 1700, 1300]])]
    frame = fetch(kite, fake_time)
    assert frame["close"].to_list() == [1702.8, 1700.0]


TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1))  # noqa: DTZ001 -- no zone needed


@given(TIMES, st.timedeltas(timedelta(0), timedelta(days=4_000)), st.sampled_from([60, 400, 2_000]))
def test_pieces_cover_everything_once_and_keep_the_limit(
    start: datetime, length: timedelta, days: int
) -> None:
    start = start.replace(microsecond=0)
    end = start + timedelta(seconds=int(length.total_seconds()))
    pieces = list(split(start, end, days))
    assert pieces[0][0] == start
    assert pieces[-1][1] == end
    for (_, last), (first, _) in pairwise(pieces):
        assert first - last == timedelta(seconds=1)
    assert all(first <= last for first, last in pieces)
    assert all((last.date() - first.date()).days < days for first, last in pieces)
    assert len(pieces) <= (end.date() - start.date()).days // days + 1


def test_a_bar_that_is_not_over_is_partial(kite: KiteApi, fake_time: FakeTime) -> None:
    future = datetime.now(IST) + timedelta(days=1)
    kite.script = [candles([ROWS[0], [f"{future:%Y-%m-%dT%H:%M:00%z}", 1, 1, 1, 1, 1]])]
    assert fetch(kite, fake_time)["is_partial"].to_list() == [False, True]


@pytest.mark.parametrize(
    ("interval", "start", "end", "bar", "is_cut"),
    [
        ("5m", "2026-11-16 09:15:00", "2026-11-16 09:45:00", "09:45", True),  # its first minute
        ("5m", "2026-11-16 09:15:00", "2026-11-16 09:48:59", "09:45", True),
        ("5m", "2026-11-16 09:15:00", "2026-11-16 09:49:00", "09:45", False),
        ("5m", "2026-11-16 09:15:00", "2026-11-16 09:45:00", "09:40", False),
        ("5m", "2026-11-16 09:17:00", "2026-11-16 09:45:00", "09:15", True),
        ("5m", "2026-11-16 09:15:00", "2026-11-16 09:45:00", "09:15", False),
        ("1m", "2026-11-16 09:15:00", "2026-11-16 09:45:00", "09:45", False),
        ("60m", "2026-11-16 09:15:00", "2026-11-16 15:29:00", "15:15", False),  # until the close
        ("60m", "2026-11-16 09:15:00", "2026-11-16 15:28:00", "15:15", True),
        ("1d", "2026-11-10", "2026-11-16", "00:00", False),
        ("1d", "2026-11-10", "2026-11-16 12:00:00", "00:00", True),
        ("1d", "2026-11-10", "2026-11-16 15:30:00", "00:00", False),
        ("1d", "2026-11-10", "2026-11-16 00:00:00", "00:00", False),  # days are kept whole
        ("1d", "2026-11-16 12:00:00", "2026-11-17", "00:00", True),
        ("1d", "2026-11-16 09:15:00", "2026-11-17", "00:00", False),
    ],
)
def test_a_candle_that_the_request_cuts_is_partial(  # noqa: PLR0917 - a row of the table
    kite: KiteApi,
    fake_time: FakeTime,
    interval: str,
    start: str,
    end: str,
    bar: str,
    is_cut: bool,  # noqa: FBT001
) -> None:
    kite.script = [candles([[f"2026-11-16T{bar}:00+0530", 1, 1, 1, 1, 100]])]
    bars = fetch(kite, fake_time, interval, start, end)
    assert bars["is_partial"].to_list() == [is_cut]


def test_busy_once(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [Answer.error(429, "NetworkException", "Too many requests"), candles(ROWS)]
    assert fetch(kite, fake_time).height == 2
    assert fake_time.slept == [1.0]


def test_errors_are_typed(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = lambda _: Answer.error(403, "TokenException", "expired")
    with pytest.raises(AuthenticationError):
        fetch(kite, fake_time)
    kite.answer = lambda _: Answer.error(400, "InputException", "invalid token")
    with pytest.raises(KitePolarsError, match="invalid token"):
        fetch(kite, fake_time)
    kite.answer = lambda _: Answer(502, b"<html>")
    with pytest.raises(ConnectionLost):
        fetch(kite, fake_time)


IMPOSSIBLE: list[Any] = [
    "0000-01-01T09:15:00+0530", "0000-00-00T00:00:00+0000", "1970-01-01T05:30:00+0530",
    "2017-02-30T09:15:00+0530", "2017-12-15T24:15:00+0530", "9999-12-31T23:59:59+0530",
    "99999-01-01T09:15:00+0530", "-0001-01-01T09:15:00+0530", "soon", "", None, 5, [], {},
]  # fmt: skip


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_a_candle_whose_time_cannot_be_is_left_out_with_a_warning(
    kite: KiteApi, fake_time: FakeTime, text: object
) -> None:
    kite.script = [candles([ROWS[0], [text, 1, 1, 1, 1, 1], ROWS[1]])]
    with pytest.warns(RejectedRowsWarning, match="impossible time: 1, .* left out") as caught:
        frame = fetch(kite, fake_time)
    assert [row[6] for row in frame.rows()] == [1702.8, 1698.15]
    assert caught[0].filename == __file__


@given(
    st.lists(
        st.sampled_from(IMPOSSIBLE)
        | st.text(max_size=30)
        | st.datetimes().map(lambda time: f"{time:%Y-%m-%dT%H:%M:%S}+0530"),
        max_size=20,
    )
)
def test_whatever_the_times_are_the_candles_can_be_read(texts: list[Any]) -> None:
    rows = [ROWS[0], *([text, 1, 1, 1, 1, 1] for text in texts)]
    now = datetime(2026, 11, 20, tzinfo=UTC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RejectedRowsWarning)
        kept = history._dated(rows, "/path", now=now)
    times = [datetime.strptime(row[0], "%Y-%m-%dT%H:%M:%S%z") for row in kept]
    assert kept[0] is ROWS[0]
    assert all(1971 <= time.astimezone(UTC).year <= 2026 for time in times)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"candles": 5}, {"candles": [5]}, {"candles": [[1, 2]]},
     {"candles": [["soon", 1, 1, 1, 1, 1]]}, {"candles": [[ROWS[0][0], "x", 1, 1, 1, 1]]},
     {"candles": [[ROWS[0][0], 1, 1, 1, 1, -1]]}, {"candles": [[ROWS[0][0], 1, 1, 1, 1, 2**70]]}],
)  # fmt: skip
def test_an_answer_that_is_none(kite: KiteApi, fake_time: FakeTime, data: object) -> None:
    kite.script = [Answer.success(data)]
    with pytest.raises(KitePolarsError) as caught:
        fetch(kite, fake_time)
    assert type(caught.value) is KitePolarsError


def test_a_progress_bar_only_for_several_requests(
    kite: KiteApi,
    fake_time: FakeTime,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(rich, "_console", None)  # a console made before the variables were set
    kite.answer = minutes_of
    shown: dict[str, Any] = {"url": kite.url, "pace": fake_time.pace()}
    historical(ACCOUNT, INFY, "1m", "2026-01-01", "2026-01-02", **shown)
    assert capsys.readouterr().out == ""
    historical(ACCOUNT, INFY, "1m", "2026-01-01", "2026-05-02", **shown)
    assert "history" in capsys.readouterr().out


def test_the_table_has_kites_limits() -> None:
    assert {interval.name: interval.days for interval in KITE_INTERVALS.values()} == {
        "minute": 60, "3minute": 100, "5minute": 100, "10minute": 100,
        "15minute": 200, "30minute": 200, "60minute": 400, "day": 2_000,
    }  # fmt: skip


def test_an_official_client_serves_as_a_session(kite: KiteApi, fake_time: FakeTime) -> None:
    class KiteConnect:
        api_key = "k"
        access_token = "t"

    kite.script = [candles(ROWS)]
    frame = historical(
        KiteConnect(), INFY, "day", "2017-12-15", "2017-12-15",
        url=kite.url, pace=fake_time.pace(),
    )  # fmt: skip
    assert frame.height == 2
    headers = {name.lower(): value for name, value in kite.requests[0].headers.items()}
    assert headers["authorization"] == "token k:t"
