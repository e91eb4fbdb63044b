"""A table in a bucket, on an S3 server with conditional writes: several writers, one killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

import kitepolars as kp
from days.market import DAY, INFY, record_market
from kitepolars.days.manifest import Table
from patience import PATIENCE


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an S3 server on loopback; return a table's URL, with the settings in the environment."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    name = f"ticks-{uuid4()}"  # the server's memory is that of the process
    client.create_bucket(Bucket=name)
    client.close()
    yield f"s3://{name}/days"
    server.stop()


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Return two recordings of a day by different machines, in many segments each."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for seed, folder in enumerate(folders):
        record_market(folder, seed=seed, seconds=1_800)
    return folders


def publishing(recording: Path, to: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kitepolars", "publish", str(recording), "--to", to]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def objects(table: str) -> list[str]:
    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket=table.split("/")[2]).get("Contents", [])
    client.close()
    return [one["Key"] for one in listed]


def is_whole(url: str, recordings: list[Path]) -> bool:
    """Return whether the table has each tick of the recordings once, and nothing else."""
    table = kp.scan(url).collect()
    keys = table.select("recorder", "sequence", "instrument_token", "received_at")
    ticks = pl.concat([kp.read_journal(folder).collect() for folder in recordings])
    names = [name for name in ticks.columns if name != "connection"]
    order = ["instrument_token", "received_at", "last_price", "volume_traded"]
    assert keys.is_unique().all()
    assert table.height == ticks.height
    return table.select(names).sort(order).equals(ticks.select(names).sort(order))


def test_two_writers_at_once_make_one_table(bucket: str, recordings: list[Path]) -> None:
    writers = [publishing(folder, bucket) for folder in recordings]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0]
    assert is_whole(bucket, recordings)
    assert len(Table(bucket).manifest(DAY).progress) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_writer_that_is_killed_loses_and_doubles_nothing(
    bucket: str, recordings: list[Path], after: int
) -> None:
    """One is killed midway, the other continues, and a new one completes the work."""
    killed, other = (publishing(folder, bucket) for folder in recordings)
    deadline = time.monotonic() + PATIENCE
    while len(objects(bucket)) < after:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(PATIENCE)
    assert other.wait(PATIENCE) == 0
    assert publishing(recordings[0], bucket).wait(PATIENCE) == 0
    assert is_whole(bucket, recordings)


def test_a_cluster_of_processes_asks_a_bucket(bucket: str, recordings: list[Path]) -> None:
    for folder in recordings:
        kp.publish(folder, bucket)
    here = kp.map_days(count, bucket, progress=False)
    assert here["len"].to_list() == [kp.scan(bucket).select(pl.len()).collect().item()]
    assert kp.map_days(count, bucket, workers=2, progress=False).equals(here)
    some = kp.map_days(count, bucket, by="instruments", instruments=[INFY], progress=False)
    infy = kp.scan(bucket, instruments=[INFY]).select(pl.len()).collect().item()
    assert some["len"].to_list() == [infy]


@pytest.mark.thorough
def test_a_table_in_a_bucket_is_registered_as_a_delta_table(bucket: str, journal: Path) -> None:
    """In a process of its own: deltalake keeps the interpreter's lock, which the server needs."""
    kp.publish(journal, bucket)
    register = [sys.executable, "-m", "kitepolars", "days", "register", bucket]
    for added in (2, 0):
        said = subprocess.run(register, capture_output=True, text=True, check=True).stdout
        assert f"{added} files were added to its log, 0 removed" in " ".join(said.split())
    read = f"import deltalake; print(deltalake.DeltaTable({bucket!r}).count())"
    rows = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert int(rows.stdout) == kp.scan(bucket).collect().height


def count(ticks: pl.LazyFrame) -> pl.LazyFrame:
    return ticks.select(pl.len())
