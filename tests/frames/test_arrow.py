"""NumPy memory shared with Polars: values, nulls, lifetime, threads, and the end of a process."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from kitepolars.frames.arrow import BatchSchema, RecordBatch
from script import run_script

ROWS = 1_000
SCHEMA = {
    "time": pl.Datetime("us", "Asia/Kolkata"),
    "price": pl.Float64(),
    "flag": pl.Boolean(),
    "count": pl.UInt16(),
    "levels": pl.Array(pl.UInt32, 5),
}


def batch() -> list[np.ndarray]:
    return [
        np.arange(ROWS, dtype="i8"),
        np.arange(ROWS) / 4,
        np.packbits(np.arange(ROWS) % 3 == 0, bitorder="little"),
        np.arange(ROWS, dtype="u2"),
        np.arange(5 * ROWS, dtype="u4").reshape(ROWS, 5),
    ]


def test_values_and_nulls_arrive() -> None:
    valid = np.arange(ROWS) % 2 == 0
    bitmap = np.packbits(valid, bitorder="little")
    frame = RecordBatch(BatchSchema(SCHEMA), batch(), [None, bitmap, None, None, bitmap]).frame(
        0, ROWS
    )
    assert dict(frame.schema) == SCHEMA
    assert frame["price"].to_list() == [n / 4 if valid[n] else None for n in range(ROWS)]
    assert frame["flag"].to_list() == [n % 3 == 0 for n in range(ROWS)]
    assert frame["levels"][2].to_list() == [10, 11, 12, 13, 14]
    assert frame["levels"].null_count() == ROWS // 2
    assert frame["time"].dt.epoch("us").to_list() == list(range(ROWS))


def test_a_column_known_to_have_no_nulls_needs_no_bitmap() -> None:
    bitmap = np.zeros(ROWS, "u1")
    shared = RecordBatch(BatchSchema(SCHEMA), batch(), [None, bitmap, None, None, bitmap])
    assert shared.frame(0, ROWS, [1]).null_count().row(0) == (0, 0, 0, 0, ROWS)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, ROWS])
def test_any_number_of_rows(length: int) -> None:
    frame = RecordBatch(BatchSchema(SCHEMA), batch(), [None] * 5).frame(0, length)
    assert frame.height == length
    assert frame["count"].to_list() == list(range(length))


@pytest.mark.parametrize("start", [0, 8, 64, 992])
def test_rows_from_the_middle(start: int) -> None:
    valid = np.arange(ROWS) % 3 == 0
    bitmap = np.packbits(valid, bitorder="little")
    shared = RecordBatch(BatchSchema(SCHEMA), batch(), [None, bitmap, None, None, bitmap])
    assert shared.frame(start, ROWS).equals(shared.frame(0, ROWS).slice(start))


def test_memory_is_shared_and_let_go() -> None:
    values = batch()
    kept = weakref.ref(values[1])
    shared = RecordBatch(BatchSchema(SCHEMA), values, [None] * 5)
    frame = shared.frame(0, 10)
    values[1][3] = 99.0
    assert frame["price"][3] == 99.0
    part = frame.select("count").slice(2, 3)
    del frame, values, shared
    assert kept() is not None
    assert part["count"].to_list() == [2, 3, 4]
    del part
    assert kept() is None


def test_frames_are_made_used_and_dropped_by_many_threads() -> None:
    values = batch()
    kept = weakref.ref(values[1])
    shared = RecordBatch(BatchSchema(SCHEMA), values, [None] * 5)

    def work(_: int, shared: RecordBatch = shared) -> float:
        return float(shared.frame(0, ROWS).lazy().select("price").sum().collect()[0, 0])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(200))) == {sum(n / 4 for n in range(ROWS))}
    assert kept() is not None
    del values, shared, work
    assert kept() is None


def test_a_process_ends_cleanly_with_frames_alive() -> None:
    script = """
import numpy as np, polars as pl, builtins
from kitepolars.frames.arrow import BatchSchema, RecordBatch
batch = RecordBatch(BatchSchema({"x": pl.Float64()}), [np.arange(9.0)], [None])
builtins.kept = [batch.frame(0, 9) for _ in range(9)]
kept = pl.concat(builtins.kept).lazy()
print(kept.sum().collect()[0, 0])
"""
    done = run_script(script)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "324.0", "")


def test_no_interrupt_is_lost_while_frames_are_dropped() -> None:
    script = """
import _thread, signal, threading
import numpy as np, polars as pl
from kitepolars.frames.arrow import BatchSchema, RecordBatch
batch = RecordBatch(BatchSchema({"x": pl.Float64()}), [np.arange(9.0)], [None])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
ready = threading.Semaphore(0)

def interrupt():
    for _ in range(200):
        assert ready.acquire(timeout=30)
        _thread.interrupt_main()

thread = threading.Thread(target=interrupt)
thread.start()
for _ in range(200):
    try:
        ready.release()
        while True:
            batch.frame(0, 9)
    except KeyboardInterrupt:
        pass
thread.join()
print("all")
"""
    done = run_script(script)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "all", "")
