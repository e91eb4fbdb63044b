from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

import kitepolars as kp
from kitepolars.errors import AuthenticationError, CapacityExceeded, JournalError
from kitepolars.journal.segments import segments
from kitepolars.recorder.control import Recorder
from kitepolars.sim import SimulatedKite
from patience import PATIENCE, eventually
from recorder.recording import CANARY, durable, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no recorder on Windows")

INFY, SBIN, NIFTY = 408065, 779521, 256265

Start = Callable[..., kp.Ticker]


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0, interval=0.01, heartbeat=0.1) as kite:
        yield kite


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "ticks"
    yield folder
    stop(folder)


@pytest.fixture
def make(kite: SimulatedKite, folder: Path) -> Iterator[Start]:
    """Make tickers with a recorder, and stop them afterwards."""
    made: list[kp.Ticker] = []

    def make(**settings: Any) -> kp.Ticker:
        defaults: dict[str, Any] = {
            "url": kite.url,
            "recorder": folder,
            "instruments": kp.Instruments.read_csv(kite.instruments_csv()),
            "reconnect": kp.ReconnectPolicy(initial_delay=0.01, max_delay=0.1),
        }
        key = f"key{abs(hash(folder))}"
        made.append(kp.Ticker(key, CANARY, **(defaults | settings)))
        return made[-1]

    yield make
    for ticker in made:
        ticker.stop()


def begin(kite: SimulatedKite, make: Start, *tokens: int) -> kp.Ticker:
    """Start a ticker that has subscribed instruments in full mode."""
    ticker = make()
    ticker.subscribe(tokens, mode="full")
    ticker.start()
    kite.wait_for(lambda kite: kite.subscribed().keys() == set(tokens))
    return ticker


def receive(kite: SimulatedKite, *tickers: kp.Ticker, steps: int = 5) -> None:
    """Let the market tick, and wait until every ticker has all of it."""
    for _ in range(steps):
        kite.step()
    sent = kite.packets_sent

    def has_all(ticker: kp.Ticker) -> bool:
        return ticker.stats().ticks >= sent

    for ticker in tickers:
        assert ticker.wait(until=has_all, timeout=PATIENCE)


def test_a_ticker_starts_its_recorder_and_has_what_that_writes(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    ticker = make()
    ticker.subscribe(["NSE:INFY"], mode="full")  # remembered until the recorder runs
    ticker.start()
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full"})
    ticker.subscribe([SBIN], mode="ltp")
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full", SBIN: "ltp"})
    kite.order_update(order_id="1", status="COMPLETE")
    receive(kite, ticker)
    assert ticker.wait(until=lambda t: t.orders().height == 1, timeout=PATIENCE)
    assert set(ticker.frame()["symbol"]) == {"NSE:INFY", "NSE:SBIN"}
    assert set(ticker.subscriptions()["instrument_token"]) == {INFY, SBIN}
    assert ticker.connections()["state"].to_list() == ["open"]
    ticker.set_mode([SBIN], "quote")
    kite.wait_for(lambda kite: kite.subscribed()[SBIN] == "quote")
    ticker.unsubscribe([SBIN])
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full"})
    assert ticker.wait(until=lambda t: t.subscriptions().height == 1, timeout=PATIENCE)
    assert_frame_equal(kp.read_journal(folder).collect(), ticker.frame())


def test_the_same_cell_finds_the_recorder_again(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    first = begin(kite, make, INFY)
    receive(kite, first)
    pid = Recorder(folder).ask("status")["pid"]
    first.stop()
    kite.step()  # nobody follows meanwhile, and nothing is lost
    second = make(instruments=None)
    second.subscribe([INFY], mode="full")
    second.start()
    receive(kite, second)
    assert Recorder(folder).ask("status")["pid"] == pid
    assert len(kite.handshakes) == 1
    assert_frame_equal(kp.read_journal(folder).collect(), second.frame())
    assert set(second.frame()["symbol"]) == {"NSE:INFY"}  # named by the recording itself
    first.start()
    receive(kite, first)
    assert_frame_equal(first.frame(), second.frame())


def test_notebooks_follow_one_recorder_each_with_a_view_of_its_own(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    owner = begin(kite, make, INFY, SBIN)
    with kp.attach(folder) as one, kp.attach(folder, retention=kp.Retention(max_rows=16)) as other:
        receive(kite, owner, one, other, steps=20)
        assert_frame_equal(one.frame(), owner.frame())
        assert other.frame().height < one.frame().height
        one.unsubscribe([SBIN])
        kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full"})
        assert other.wait(until=lambda t: t.subscriptions().height == 1, timeout=PATIENCE)


def test_what_the_recorder_refuses_is_raised_here(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    limits = kp.Limits(connections=1, instruments_per_connection=1)
    ticker = make(limits=limits).start()
    with pytest.raises(CapacityExceeded):
        ticker.subscribe([INFY, SBIN])
    ticker.set_access_token("tomorrow")
    kite.expire_tokens()
    assert Recorder(folder).ask("status")["connected"] == 1


def test_refused_credentials_are_raised_by_start(kite: SimulatedKite, make: Start) -> None:
    kite.reject(403)
    with pytest.raises(AuthenticationError):
        make().start()


def test_without_a_recorder_attaching_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="kitepolars record"):
        kp.attach(tmp_path)


@contextmanager
def too_large(folder: Path) -> Iterator[None]:
    """Let the system refuse the recorder's writes: its files may not grow."""
    import resource  # noqa: PLC0415 - not on Windows

    pid = Recorder(folder).ask("status")["pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    size = segments(folder)[-1].size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def no_room(folder: Path) -> Iterator[None]:
    """Fill the file system of the recording."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with pytest.raises(OSError, match="No space left"):
                write_until_it_fails(file, bytes(size))
    yield
    filler.unlink()


def write_until_it_fails(file: RawIOBase, data: bytes) -> None:
    while True:
        file.write(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 MB, which needs the rights of root."""
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=64m", "kitepolars-test", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a file system needs the rights of root")
    yield tmp_path
    subprocess.run(["/bin/umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_notebook_stays_live_while_the_recorders_files_cannot_grow(
    kite: SimulatedKite, make: Start, folder: Path
) -> None:
    follow_through(too_large, "File too large", kite, make(), folder)


@pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs")
def test_a_notebook_stays_live_while_the_recorders_disk_is_full(
    small_disk: Path, kite: SimulatedKite, make: Start, folder: Path
) -> None:
    assert folder.parent == small_disk
    follow_through(no_room, "No space left on device", kite, make(), folder)


def follow_through(
    failing: Callable[[Path], AbstractContextManager[None]],
    reason: str,
    kite: SimulatedKite,
    ticker: kp.Ticker,
    folder: Path,
) -> None:
    """Follow a recorder whose disk fails and works again."""

    def has_heard(detail: str) -> bool:
        return ticker.wait(until=lambda _: detail in details(ticker), timeout=PATIENCE)

    def is_durable() -> bool:
        return ticker.wait(until=lambda _: durable(Recorder(folder)), timeout=PATIENCE)

    ticker.subscribe([INFY, SBIN], mode="full")
    with ticker:
        kite.wait_for(lambda kite: len(kite.subscribed()) == 2)
        receive(kite, ticker)
        assert is_durable()
        with failing(folder):
            receive(kite, ticker, steps=30)
            assert has_heard(f"the recorder cannot write: {reason}")
            receive(kite, ticker, steps=30)
            status = Recorder(folder).ask("status")
            assert status["durable_sequence"] < status["next_sequence"]
            assert kp.read_journal(folder).collect().height < ticker.frame().height
        assert has_heard("the recorder writes again")
        receive(kite, ticker)
        assert is_durable()
        assert ticker.gaps().is_empty()
        assert_frame_equal(ticker.frame(), kp.read_journal(folder).collect())


def details(ticker: kp.Ticker) -> list[str]:
    found: list[str] = ticker.events()["detail"].to_list()
    return found


def test_a_killed_recorder_is_an_event_and_a_gap_and_its_successor_is_followed(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    ticker = begin(kite, make, INFY)
    receive(kite, ticker)
    os.kill(Recorder(folder).ask("status")["pid"], signal.SIGKILL)

    def has_ended(ticker: kp.Ticker) -> bool:
        return "recorder" in set(ticker.events()["kind"])

    assert ticker.wait(until=has_ended, timeout=PATIENCE)
    assert ticker.gaps()["ended_at"].to_list() == [None]
    assert ticker.connections()["state"].to_list() == ["waiting"]
    before = ticker.frame().height
    successor = make()
    successor.start()
    kite.wait_for(lambda kite: kite.subscribed() == {INFY: "full"})
    eventually(lambda: kite.step() and ticker.frame().height > before + 5)
    assert ticker.wait(until=lambda t: t.gaps()["ended_at"][0] is not None, timeout=PATIENCE)
    assert ticker.gaps().height == 1
    frame = ticker.frame()
    assert_frame_equal(frame, kp.read_journal(folder).head(frame.height).collect())


def test_a_recorder_that_was_stopped_leaves_no_gap(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    ticker = begin(kite, make, INFY)
    receive(kite, ticker)
    Recorder(folder).ask("stop")

    def is_told(ticker: kp.Ticker) -> bool:
        return any("was stopped" in detail for detail in ticker.events()["detail"])

    assert ticker.wait(until=is_told, timeout=PATIENCE)
    assert ticker.gaps().is_empty()
    assert ticker.connections()["state"].to_list() == ["idle"]


HOLD = """
import ctypes, sys, time
import kitepolars as kp

ticker = kp.attach(sys.argv[1])
print("attached", flush=True)
sys.stdin.readline()
ctypes.PyDLL(None).usleep(int(float(sys.argv[2]) * 1e6))  # with the interpreter's lock held
print("released", flush=True)
expected = int(sys.stdin.readline())
ticker.wait(until=lambda t: t.stats().ticks >= expected, timeout=60)
print(ticker.stats().ticks, ticker.gaps().height, flush=True)
ticker.stop()
"""


@dataclass(frozen=True)
class Notebook:
    """A process that follows a recording, and is spoken to line by line."""

    process: subprocess.Popen[str]

    def say(self, line: object) -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def attached_notebook(folder: Path, hold: str) -> Iterator[Notebook]:
    """Run a process that has attached itself; it can hold its lock for some seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        notebook = Notebook(process)
        assert notebook.hear() == "attached"
        yield notebook


def test_a_notebook_that_holds_the_interpreters_lock_loses_nothing(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    owner = begin(kite, make, INFY, SBIN, NIFTY)
    receive(kite, owner)
    with attached_notebook(folder, hold="0.5") as notebook:
        notebook.say("")
        for _ in range(100):
            kite.step()
        assert notebook.hear() == "released"
        notebook.say(kite.packets_sent)
        assert notebook.hear() == f"{kite.packets_sent} 0"


def test_a_killed_kernel_finds_everything_again(
    kite: SimulatedKite, folder: Path, make: Start
) -> None:
    owner = begin(kite, make, INFY)
    with attached_notebook(folder, hold="1000") as notebook:
        receive(kite, owner)
        notebook.process.kill()
    for _ in range(20):
        kite.step()
    with kp.attach(folder) as again:
        receive(kite, again)
        assert_frame_equal(again.frame(), kp.read_journal(folder).collect())
        assert again.stats().ticks == kite.packets_sent
        assert again.gaps().is_empty()
