"""The same answer in a pool and on a Dask cluster, also when they lose a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from types import FunctionType
from typing import Final

import polars as pl
import pytest
from distributed import Client
from distributed.security import Security

import kitepolars as kp
from cluster.conftest import DAYS, highest
from patience import PATIENCE

CERTIFY: Final = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-days", "1", "-subj", "/CN=cluster", "-addext", "subjectAltName=IP:127.0.0.1"),
]


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


def test_a_process_that_always_crashes_is_given_up(recording: Path) -> None:
    def fatal(_: pl.LazyFrame) -> pl.LazyFrame:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(kp.PartitionFailed, match="a process ended early 4 times") as caught:
        kp.map_days(fatal, recording, workers=2, end=DAYS[0], progress=False)
    assert caught.value.partition == "2026-11-16"


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
