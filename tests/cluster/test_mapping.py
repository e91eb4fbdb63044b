"""The same answer in this process, in a pool, and on a Dask cluster that loses a worker."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock, Thread
from types import FunctionType
from typing import Final

import polars as pl
import pytest
from distributed import Client
from distributed.security import Security

import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.journal.writer import JournalWriter
from kitepolars.source import Messages
from kitepolars.wire.encode import encode_message, encode_packets
from kitepolars.wire.layouts import LTP
from patience import PATIENCE

INFY, SBIN = 408065, 779521
DAYS: Final = [dt.date(2026, 11, day) for day in (16, 17, 18, 19, 20, 23)]
TICKS: Final = 10
CERTIFY: Final = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-days", "1", "-subj", "/CN=cluster", "-addext", "subjectAltName=IP:127.0.0.1"),
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal with a few ticks a day, whose prices tell the days apart."""
    folder = tmp_path_factory.mktemp("ticks")
    with JournalWriter(folder) as writer:
        for number, day in enumerate(DAYS):
            at = int(dt.datetime.combine(day, dt.time(10), IST).timestamp() * 1_000_000)
            for tick in range(TICKS):
                prices = [100_000 + 1_000 * number + tick, 50_000 + tick]
                columns = {"instrument_token": [INFY, SBIN], "last_price": prices}
                message = encode_message(encode_packets(LTP, columns))
                writer.take(Messages(at + 1_000_000 * tick, 0, [message]))
    return folder


def highest(ticks: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row an instrument: a function of a module that workers can import, or of none."""
    day = pl.col("received_at").dt.date().first().alias("day")
    return ticks.group_by("instrument_token", maintain_order=True).agg(
        day, pl.col("last_price").max(), pl.col("mode").last()
    )


def test_results_are_in_the_order_of_days(recording: Path) -> None:
    answer = kp.map_days(highest, recording, progress=False)
    assert answer["day"].to_list() == [day for day in DAYS for _ in range(2)]
    assert answer["last_price"].to_list()[::2] == [
        (100_009 + 1_000 * n) / 100 for n in range(len(DAYS))
    ]
    assert answer.schema["mode"] == kp.read_journal(recording).collect_schema()["mode"]


def test_days_and_instruments_are_chosen(recording: Path) -> None:
    some = kp.map_days(
        highest, recording, start=DAYS[1], end=DAYS[2], instruments=[SBIN], progress=False
    )
    assert some["day"].to_list() == DAYS[1:3]
    assert set(some["instrument_token"]) == {SBIN}
    with pytest.raises(kp.ConfigError, match="a recording that has some of these days"):
        kp.map_days(highest, recording, start=dt.date(2027, 1, 1))


@pytest.fixture(scope="module")
def table(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same ticks as a table of days."""
    days = tmp_path_factory.mktemp("days")
    kp.publish(recording, days)
    return days


def test_a_table_has_the_same_answer_as_its_recording(recording: Path, table: Path) -> None:
    recorded = kp.map_days(highest, recording, progress=False)
    published = kp.map_days(highest, table, progress=False)
    assert published.sort("day", "instrument_token").equals(
        recorded.sort("day", "instrument_token")
    )


def test_a_partition_by_instruments_has_all_their_days(table: Path) -> None:
    spans = kp.map_days(span, table, by="instruments", progress=False)
    assert spans.rows() == [(token, len(DAYS) * TICKS, DAYS[0], DAYS[-1]) for token in (INFY, SBIN)]
    pool = kp.map_days(span, table, by="instruments", workers=2, progress=False)
    assert pool.equals(spans)
    some = kp.map_days(
        span, table, by="instruments", instruments=[SBIN], start=DAYS[1], end=DAYS[2]
    )
    assert some.rows() == [(SBIN, 2 * TICKS, DAYS[1], DAYS[2])]


def span(ticks: pl.LazyFrame) -> pl.LazyFrame:
    """Return each instrument's number of ticks, and its first and last day."""
    day = pl.col("received_at").dt.date()
    return (
        ticks.group_by("instrument_token")
        .agg(pl.len(), day.min().alias("first"), day.max().alias("last"))
        .sort("instrument_token")
    )


def test_a_recording_is_divided_by_day_only(recording: Path) -> None:
    with pytest.raises(kp.ConfigError, match="publish it for other partitions"):
        kp.map_days(span, recording, by="instruments")
    with pytest.raises(kp.ConfigError, match="by must be 'day' or 'instruments'"):
        kp.map_days(span, recording, by="week")  # type: ignore[arg-type]


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(kp.TableError, match="there is no table of days"):
        kp.map_days(span, tmp_path)


def test_a_pool_has_the_same_answer(recording: Path) -> None:
    here = kp.map_days(highest, recording, progress=False)
    assert kp.map_days(highest, recording, workers=2, progress=False).equals(here)


def test_a_pool_that_loses_a_process_has_the_same_answer(recording: Path, tmp_path: Path) -> None:
    """The first process that comes kills itself, as the system does when memory is short."""
    marker = str(tmp_path / "killed")

    def once_fatal(ticks: pl.LazyFrame) -> pl.LazyFrame:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return highest(ticks)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    here = kp.map_days(highest, recording, progress=False)
    assert kp.map_days(once_fatal, recording, workers=2, progress=False).equals(here)


def test_a_process_that_always_dies_is_given_up(recording: Path) -> None:
    def fatal(_: pl.LazyFrame) -> pl.LazyFrame:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(kp.PartitionFailed, match="a process ended early 4 times") as caught:
        kp.map_days(fatal, recording, workers=2, end=DAYS[0], progress=False)
    assert caught.value.partition == "2026-11-16"


def failing(ticks: pl.LazyFrame) -> pl.DataFrame:
    """Fail on one day."""
    frame = ticks.collect()
    if frame["received_at"][0].date() == DAYS[3]:
        raise ZeroDivisionError("no such price")
    return frame.head(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_says_for_which_day(recording: Path, workers: int) -> None:
    with pytest.raises(
        kp.PartitionFailed, match="2026-11-19: ZeroDivisionError: no such"
    ) as caught:
        kp.map_days(failing, recording, workers=workers, progress=False)
    assert "in failing" in caught.value.__notes__[0]


def test_the_columns_must_be_the_same_each_day(recording: Path) -> None:
    def odd(ticks: pl.LazyFrame) -> pl.DataFrame:
        frame = ticks.collect()
        return frame.select("mode" if frame["received_at"][0].day == 19 else "last_price")

    with pytest.raises(kp.ConfigError, match="other columns for 2026-11-19 than for 2026-11-16"):
        kp.map_days(odd, recording, progress=False)
    with pytest.raises(kp.PartitionFailed, match="returned int, not a frame"):
        kp.map_days(lambda _: 1, recording, progress=False)  # type: ignore[arg-type, return-value]


def test_what_cannot_be_sent_is_refused_at_once(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock()
    with pytest.raises(kp.ConfigError, match="function must be possible to send"):
        kp.map_days(lambda ticks: (lock, ticks)[1], recording, workers=2, progress=False)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    monkeypatch.setattr(failing, "__module__", "__main__")
    with pytest.raises(kp.ConfigError, match=r"kitepolars\[dask\]"):
        kp.map_days(failing, recording, workers=2, progress=False)
    with pytest.raises(kp.ConfigError, match="workers must be at least 1"):
        kp.map_days(failing, recording, workers=0)


def test_a_progress_bar_counts_the_days(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kp.map_days(highest, recording)
    assert "100%" in capsys.readouterr().out


# -- a cluster ---------------------------------------------------------------------------------


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a process with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Client, list[subprocess.Popen[bytes]]]]:
    """Run a scheduler and two workers on loopback with TLS, as processes; yield them connected."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [*CERTIFY, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    place = tmp_path / "scheduler.json"
    tls = f"--tls-ca-file={certificate} --tls-cert={certificate} --tls-key={key}".split()
    shared = ["--protocol=tls", f"--scheduler-file={place}", "--no-dashboard", *tls]
    dask = [sys.executable, "-m", "distributed.cli.dask_"]

    def run(what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [*dask[:2], dask[2] + what, *options, *shared]
        return stack.enter_context(ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)))

    with ExitStack() as stack:
        run("scheduler", "--host=127.0.0.1", "--port=0")
        eventually(lambda: place.exists() and place.stat().st_size)
        workers = [
            run("worker", "--host=127.0.0.1", "--nthreads=1", "--no-nanny", f"--name={name}")
            for name in ("first", "second")
        ]
        security = Security(
            tls_ca_file=str(certificate),
            tls_client_cert=str(certificate),
            tls_client_key=str(key),
            require_encryption=True,
        )
        with Client(scheduler_file=str(place), security=security, timeout=PATIENCE) as client:
            client.wait_for_workers(2, timeout=PATIENCE)
            yield client, workers


def eventually(condition: Callable[[], object]) -> None:
    """Wait for other processes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cluster_has_the_same_answer_when_a_worker_is_killed(
    cluster: tuple[Client, list[subprocess.Popen[bytes]]], recording: Path, tmp_path: Path
) -> None:
    client, workers = cluster
    assert client.scheduler.address.startswith("tls://")
    begun, goes_on = tmp_path / "begun", tmp_path / "goes_on"
    begun.mkdir()

    def slow(ticks: pl.LazyFrame) -> pl.LazyFrame:
        answer = highest_here(ticks)
        (begun / str(os.getpid())).touch()
        while not goes_on.exists():
            time.sleep(0.02)
        return answer

    highest_here = by_value(highest)

    def kill() -> None:
        eventually(lambda: len(list(begun.iterdir())) == 2)  # both are at work
        workers[0].kill()
        workers[0].wait()
        goes_on.touch()

    here = kp.map_days(highest, recording, progress=False)
    killer = Thread(target=kill)
    killer.start()
    there = kp.map_days(slow, recording, client=client, progress=False)
    killer.join()
    assert there.equals(here)
    assert len(client.scheduler_info()["workers"]) == 1


def by_value(function: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Callable[..., pl.LazyFrame]:
    """Return a function that is sent whole: workers cannot import this module."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, {"pl": pl}, function.__name__)
