"""Measures a table of days: publishing, tidying, questions, beside other stores of the same ticks.

A simulated market's day is recorded on made-up time; every step runs in a process of its own, so
that its peak memory is its own. Files are in the page cache: nothing is read from a cold disk.
ArcticDB needs an older pandas, so pip puts it into ``artifacts/arcticdb``.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import harness
import kitepolars as kp
from kitepolars.calendar import IST
from kitepolars.days.manifest import Table
from kitepolars.journal.folder import CLOSED
from market_day import DAY, record_day

INSTRUMENTS: Final = 9_000
ROUNDS: Final = 6_700
"""Ticks of each instrument: 60.3 million in all."""

SHARED: Final = 5
"""The stores are compared on the first of so many parts of the recording."""

REPEATS: Final = 5
SCRIPT: Final = Path(__file__).with_name("day_stores.py")
ARCTICDB: Final = harness.ROOT / "artifacts" / "arcticdb"
MINUTE: Final = dt.datetime.combine(DAY, dt.time(9, 47), IST)

QUESTIONS: Final[Mapping[str, tuple[str, float]]] = {
    "instrument": ("one instrument's day, all columns", 200.0),
    "minute": ("one minute of all instruments, all columns", 600.0),
    "last": ("the last tick of each instrument", 500.0),
}
"""What is asked → what it is called, and its target in milliseconds."""

OTHERS: Final[Mapping[str, str]] = {
    "parquet": "files of write_parquet",
    "duckdb": "a DuckDB file",
    "arcticdb": "ArcticDB",
}


def measure(results: harness.Results) -> None:
    """Measure all of it."""
    instruments, rounds = (900, 300) if results.quick else (INSTRUMENTS, ROUNDS)
    with tempfile.TemporaryDirectory(dir=harness.ROOT / "artifacts") as folder:
        recording = Path(folder) / "ticks"
        rows = record_day(recording, rounds=rounds, instruments=instruments)
        measure_recording(results, recording, Path(folder), rows)


def measure_recording(
    results: harness.Results, recording: Path, folder: Path, rows: int | None = None
) -> None:
    """Measure all of it with a recording; other files are put into a folder, and removed."""
    table = folder / "days"
    token, last = _days(results, recording, table, rows)
    _questions(results, table, token, last)
    shutil.rmtree(table)
    part = folder / "part"
    _link_first(recording, part)
    _compare(results, part, folder, token)


def _days(
    results: harness.Results, recording: Path, table: Path, rows: int | None
) -> tuple[int, int]:
    """Publish and tidy; return a token and how many instruments there are."""
    published = _run("days", table, "write", str(recording))
    rows = rows or published["answer"]
    assert published["answer"] == rows
    size = _size(table)
    note = (
        f"{rows:,} full ticks from a compressed recording, decoded, sorted and synced to the disk; "
        f"{rows / published['processor']:,.0f} a processor second; load {published['load']:.1f}"
    )
    results.add(
        "Publishing a recording as a table of days",
        rows / published["wall"],
        form="{:,.0f} ticks/s",
        target=harness.at_least(500_000),
        note=note,
    )
    _add_peak(results, "publishing", published)
    results.add(
        "A published full tick on the disk",
        size / rows,
        form="{:.1f} bytes",
        target=harness.at_most(45),
        note=f"in memory 264 bytes; {size / 1e9:.2f} GB",
    )
    tidied = _run("days", table, "tidy")
    assert tidied["answer"] == rows
    once = sum(file.bytes for file in _manifest(table).files())
    twice = once + sum(file.bytes for file in _manifest(table).by_time)
    results.add(
        "Tidying a day into both orders",
        rows / tidied["wall"],
        form="{:,.0f} ticks/s",
        note=f"{rows / tidied['processor']:,.0f} a processor second; load {tidied['load']:.1f}; "
        f"by instrument {once / rows:.1f} bytes a tick, both orders {twice / rows:.1f}",
    )
    _add_peak(results, "tidying", tidied)
    tokens = kp.scan(table, last=True).collect()["instrument_token"]
    return int(tokens[len(tokens) // 2]), len(tokens)


def _questions(results: harness.Results, table: Path, token: int, instruments: int) -> None:
    rows = _manifest(table).rows
    given = {"instrument": str(token), "minute": MINUTE.isoformat()}
    for question, (name, target) in QUESTIONS.items():
        asked = _run("days", table, question, given.get(question, ""), times=REPEATS)
        assert asked["answer"] > 0
        assert question != "last" or asked["answer"] == instruments
        results.add(
            f"A table of {rows:,} ticks: {name}",
            1e3 * asked["wall"],
            form="{:,.0f} ms",
            target=harness.at_most(target),
            note=f"{asked['answer']:,} rows; processor {1e3 * asked['processor']:,.0f} ms; "
            f"load {asked['load']:.1f}; files in the page cache",
        )
    bars = _run("days", table, "bars")
    results.add(
        f"A table of {rows:,} ticks: candles of a minute of everything",
        rows / bars["wall"] / 1e6,
        form="{:.2f} million ticks/s",
        target=harness.at_least(5.0),
        note=f"{bars['answer']:,} bars; {rows / bars['processor'] / 1e6:.2f} million a processor "
        f"second; load {bars['load']:.1f}",
    )
    _add_peak(results, "candles of it", bars, gibibytes=3.0)
    thrice = _run("days", table, "bars_thrice")
    _add_peak(results, f"candles of {3 * rows:,} ticks, the day thrice", thrice, gibibytes=3.0)
    for do, name in (("instrument", "token"), ("by_symbol", "symbol")):
        asked = _run("days", table, do, str(token), counted=True)
        results.add(
            f"Bytes read for one instrument's day, by {name}",
            asked["read"] / 1e6,
            form="{:.1f} MB",
            note=f"of {sum(file.bytes for file in _manifest(table).files()) / 1e6:,.0f} MB",
        )


def _compare(results: harness.Results, recording: Path, folder: Path, token: int) -> None:
    """Ask all stores the same about the same ticks."""
    took: dict[str, dict[str, float]] = {}
    given = {"instrument": str(token), "minute": MINUTE.isoformat()}
    for store in ("days", *OTHERS):
        place = folder / store
        written = _run(store, place, "write", str(recording))
        rows = written["answer"]
        if store == "days":
            _run(store, place, "tidy")
        took[store] = {"bytes": _size(place) / rows, "write": rows / written["processor"]}
        for question in (*QUESTIONS, "bars"):
            asked = _run(store, place, question, given.get(question, ""), times=3)
            took[store][question] = 1e3 * asked["wall"]
            took[store][f"{question}_processor"] = 1e3 * asked["processor"]
            took[store][f"{question}_rows"] = asked["answer"]
        shutil.rmtree(place)
        results.series["compared"] = {"rows": rows, **took}
        if store != "days":
            _add_compared(results, rows, took["days"], took[store], OTHERS[store])


def _add_compared(
    results: harness.Results,
    rows: int,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    against: str,
) -> None:
    results.add(
        f"Days of {rows:,} ticks: bytes a tick",
        ours["bytes"] / theirs["bytes"],
        against=against,
        note=f"{ours['bytes']:.1f} against {theirs['bytes']:.1f} bytes; the second order of "
        "the last days not counted",
    )
    results.add(
        f"Days of {rows:,} ticks: writing, processor time",
        theirs["write"] / ours["write"],
        against=against,
        note=f"{ours['write']:,.0f} against {theirs['write']:,.0f} ticks a processor second, "
        "decoding included; ours sorts, tidying not counted",
    )
    names = {question: name for question, (name, _) in QUESTIONS.items()}
    for question, name in {**names, "bars": "bars of a minute of everything"}.items():
        results.add(
            f"Days of {rows:,} ticks: {name}",
            ours[question] / theirs[question],
            against=against,
            note=f"{ours[question]:,.0f} ms against {theirs[question]:,.0f} ms; of processor "
            f"time {ours[f'{question}_processor']:,.0f} against "
            f"{theirs[f'{question}_processor']:,.0f} ms",
        )


def _add_peak(
    results: harness.Results, what: str, done: Mapping[str, Any], gibibytes: float = 2.0
) -> None:
    results.add(
        f"Memory: {what}, peak",
        done["peak"] / 2**30,
        form="{:.2f} GiB",
        target=harness.at_most(gibibytes),
        note="of the whole process",
    )


def _run(
    store: str, folder: Path, do: str, of: str = "", *, times: int = 1, counted: bool = False
) -> dict[str, Any]:
    """Do something with a store in a process of its own.

    `counted` has Polars read files with system calls, which can be counted, instead of mapping
    them.
    """
    arguments = {"store": store, "folder": folder, "do": do, "times": times}
    environment = {"POLARS_FORCE_ASYNC": "1"} if counted else {}
    if store == "arcticdb":
        environment["PYTHONPATH"] = str(_arcticdb())
    begin = time.perf_counter()
    done: dict[str, Any] = harness.in_process(
        SCRIPT, {**arguments, **({"of": of} if of else {})}, environment
    )
    print(f"  … {store} {do}: {time.perf_counter() - begin:.1f} s", flush=True)
    return done


def _arcticdb() -> Path:
    """Return where ArcticDB is, installed beside this environment, whose pandas is newer."""
    if not (ARCTICDB / "arcticdb").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(ARCTICDB)]
        subprocess.run([*command, "arcticdb"], check=True)
    return ARCTICDB


def _link_first(recording: Path, part: Path) -> None:
    """Make a recording of the first segments of another one."""
    closed = sorted(recording.rglob(f"*{CLOSED}"))
    day = part / closed[0].parent.name
    day.mkdir(parents=True)
    for segment in closed[: -(-len(closed) // SHARED)]:
        os.link(segment, day / segment.name)


def _manifest(table: Path) -> Any:
    found = Table(table).manifest(DAY)
    assert found is not None
    return found


def _size(folder: Path) -> int:
    """Return the bytes of a store; of a table, of one order of its ticks."""
    if (folder / DAY.isoformat()).exists():
        return sum(file.bytes for file in _manifest(folder).files())
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    harness.main("days", measure, __doc__)
