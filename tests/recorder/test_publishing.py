from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import record_market
from kitepolars.errors import ConfigError, KitePolarsError, TableError
from kitepolars.feed.account import Account
from kitepolars.frames.schema import SCHEMA
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import launch
from kitepolars.recorder.publishing import Publishing
from kitepolars.sim import SimulatedKite
from patience import PATIENCE, eventually
from recorder.recording import CANARY, INFY, SBIN, durable, request, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "ticks"
    yield folder
    stop(folder)


def account(folder: Path) -> Account:
    return Account("main", f"key{abs(hash(folder))}", CANARY)


def receive(kite: SimulatedKite, recorder: Recorder) -> None:
    """Let the market tick, and wait until the recorder has all of it on the disk."""
    for _ in range(3):
        kite.step()
    eventually(lambda: recorder.ask("status")["messages"] == kite.packets_sent >= 3)
    eventually(lambda: durable(recorder))


def published(table: str | Path) -> int:
    """Return the rows of a table, which may not be there yet."""
    try:
        return kp.scan(table).collect().height
    except TableError:
        return 0


def in_order(ticks: pl.LazyFrame) -> pl.DataFrame:
    columns = SCHEMA.names()
    return ticks.select(columns).collect().sort("received_at", maintain_order=True)


def test_a_recorder_publishes_what_it_records(kite: SimulatedKite, folder: Path) -> None:
    table = folder.with_name("days")
    recorder = launch(folder, [account(folder)], request(kite, publish=str(table)))
    kite.wait_for(lambda kite: bool(kite.subscribed()))
    receive(kite, recorder)
    assert recorder.ask("status")["published"]["table"] == str(table)
    recorder.ask("stop")
    eventually(lambda: published(table) == kite.packets_sent)
    assert_frame_equal(in_order(kp.scan(table)), in_order(kp.read_journal(folder)))


def test_a_recorder_that_runs_publishes_when_it_is_asked_to(
    kite: SimulatedKite, folder: Path
) -> None:
    table = str(folder.with_name("days"))
    recorder = launch(folder, [account(folder)], request(kite))
    assert recorder.ask("status")["published"] is None
    recorder.ask("publish", table=table)
    recorder.ask("publish", table=table)  # it does so already
    with pytest.raises(KitePolarsError, match=f"publishes to {table} already"):
        recorder.ask("publish", table="elsewhere")
    kite.wait_for(lambda kite: bool(kite.subscribed()))
    receive(kite, recorder)
    recorder.ask("stop")
    eventually(lambda: published(table) == kite.packets_sent)


def test_a_ticker_has_its_recorder_publish_and_scans_the_table(
    kite: SimulatedKite, folder: Path
) -> None:
    known = account(folder)
    ticker = kp.Ticker(
        known.api_key,
        CANARY,
        url=kite.url,
        recorder=folder,
        publish=folder.with_name("days"),
        instruments=kp.Instruments.read_csv(kite.instruments_csv()),
    )
    ticker.subscribe([INFY, SBIN], mode="full")
    with ticker:
        kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
        for _ in range(3):
            kite.step()
        assert ticker.wait(until=lambda t: t.stats().ticks == kite.packets_sent, timeout=PATIENCE)
        assert_frame_equal(in_order(ticker.scan()), in_order(ticker.lazy()))
        follower = kp.attach(folder, publish=folder.with_name("days"))
        follower.stop()
        assert follower.scan().collect().height == kite.packets_sent
        with pytest.raises(KitePolarsError, match="already"):
            kp.attach(folder, publish=folder.with_name("other"))
    Recorder(folder).ask("stop")
    eventually(lambda: published(folder.with_name("days")) == kite.packets_sent)


def test_publishing_needs_a_recorder_and_a_table() -> None:
    with pytest.raises(ConfigError, match="publish needs a recorder"):
        kp.Ticker("key", CANARY, publish="days/")
    with pytest.raises(TableError, match="s3://"):
        kp.Ticker("key", CANARY, recorder="ticks/", publish="ftp://days")


def test_without_a_table_a_scan_says_that_it_needs_one(kite: SimulatedKite, folder: Path) -> None:
    launch(folder, [account(folder)], request(kite))
    follower = kp.attach(folder)
    try:
        with pytest.raises(ConfigError, match="name the table"):
            follower.scan()
    finally:
        follower.stop()


def test_the_publisher_of_a_killed_recorder_ends(kite: SimulatedKite, folder: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    table = str(folder.with_name("days"))
    recorder = launch(folder, [account(folder)], request(kite, publish=table))
    pid = recorder.ask("status")["pid"]
    [child] = children(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_running(child))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []

    def has_child() -> bool:
        found[:] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return bool(found)

    eventually(has_child)
    return found


def is_running(pid: int) -> bool:
    """Return whether there is a process that has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


# -- by itself -----------------------------------------------------------------------------------

Notes = list[tuple[str, str]]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks of the loop bring about."""
    await asyncio.to_thread(eventually, condition)


async def test_a_failure_is_an_event_and_so_is_its_end(tmp_path: Path) -> None:
    record_market(tmp_path / "ticks", seconds=20)
    blocked = tmp_path / "blocked"
    blocked.write_text("where the table's folder should be")
    notes: Notes = []
    publishing = Publishing(
        tmp_path / "ticks", lambda kind, detail: notes.append((kind, detail)), first_retry=0.01
    )
    publishing.begin(str(blocked / "days"))
    await until(lambda: notes)
    [(kind, detail)] = notes
    assert kind == "publish"
    assert f"not published to {blocked / 'days'} at present: " in detail
    assert status(publishing)["failure"] in detail
    blocked.unlink()
    await until(lambda: len(notes) > 1)
    assert notes[1:] == [("publish", f"published to {blocked / 'days'} again")]
    assert await publishing.end() is None
    ticks = kp.read_journal(tmp_path / "ticks").collect()
    assert kp.scan(blocked / "days").collect().height == ticks.height
    assert status(publishing) == {
        "table": str(blocked / "days"),
        "rows": ticks.height,
        "until": ticks["received_at"].to_physical().max(),
        "failure": None,
    }


async def test_a_publisher_that_is_killed_is_started_again(tmp_path: Path) -> None:
    record_market(tmp_path / "ticks", seconds=20, is_stopped=False)
    notes: Notes = []
    publishing = Publishing(
        tmp_path / "ticks", lambda kind, detail: notes.append((kind, detail)), first_retry=0.01
    )
    publishing.begin(str(tmp_path / "days"))
    await until(lambda: publishing._process is not None)
    assert publishing._process is not None
    publishing._process.kill()
    await until(lambda: notes)
    assert "the publisher ended with code -9" in notes[0][1]
    await until(lambda: len(notes) > 1)  # it publishes again
    record_market(tmp_path / "ticks", begin=dt.time(9, 40), seconds=20)
    assert await publishing.end() is None
    ticks = kp.read_journal(tmp_path / "ticks").collect()
    assert kp.scan(tmp_path / "days").collect().height == ticks.height


async def test_what_fails_in_the_end_is_returned(tmp_path: Path) -> None:
    record_market(tmp_path / "ticks", seconds=20)
    (tmp_path / "days").write_text("no folder")
    notes: Notes = []
    publishing = Publishing(tmp_path / "ticks", lambda *note: notes.append(note), first_retry=600)
    publishing.begin(str(tmp_path / "days"))
    await until(lambda: notes)
    failure = await publishing.end()
    assert failure is not None
    assert failure in notes[0][1]


async def test_without_a_table_nothing_runs(tmp_path: Path) -> None:
    publishing = Publishing(tmp_path, print)
    assert publishing.status() is None
    assert await publishing.end() is None


def status(publishing: Publishing) -> dict[str, Any]:
    said = publishing.status()
    assert said is not None
    return dict(said)
