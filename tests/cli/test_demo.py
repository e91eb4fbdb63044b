from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl
import pytest

from kitepolars import Instruments, Mode
from kitepolars.cli.demo import NEAREST_FUTURES, choose, latest_values, watch_list
from kitepolars.demonstration import WATCH_LIST
from kitepolars.frames.schema import SCHEMA
from kitepolars.sim import SimulatedKite
from patience import PATIENCE

COMMAND = [sys.executable, "-W", "error", "-m", "kitepolars", "demo"]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_without_a_terminal_it_prints_lines_and_the_results(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    finished = demo("--seconds", "2", "--instruments", "300", "--svg", str(picture))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "Subscribing to 300 of a simulated exchange's instruments" in finished.stdout
    assert "ticks/s" in finished.stdout
    assert f"shape (3, {len(SCHEMA)})" in finished.stdout
    assert "NSE:NIFTY 50" in finished.stdout
    assert "Every instrument ticked; nothing was rejected, dropped or missed." in finished.stdout
    assert "\x1b" not in finished.stdout
    drawn = picture.read_text("utf-8")
    assert re.search(r"""(url\(|href=)["']?\w+://""", drawn) is None  # loads nothing
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314 (made by ourselves)


def test_one_instrument_is_enough() -> None:
    finished = demo("--seconds", "1", "--instruments", "1")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "over 1 connection;" in finished.stdout


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
def test_in_a_terminal_it_shows_a_live_view() -> None:
    exit_code, shown = in_terminal("--seconds", "1", "--instruments", "50")
    assert exit_code == 0, shown
    assert "Watch list" in shown
    assert "Healthy: 1 connection open" in shown
    assert "\x1b[" in shown


def in_terminal(*options: str) -> tuple[int, str]:
    """Run it with a pseudo-terminal for everything; return its exit code and what it wrote."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND, *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    ) as running:
        os.close(theirs)
        shown = b"".join(iter(lambda: read_until_closed(ours), b""))
        os.close(ours)
    return running.returncode, shown.decode("utf-8", "replace")


def read_until_closed(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_control_c_ends_it_with_its_results() -> None:
    with subprocess.Popen(
        [*COMMAND, "--seconds", "600", "--instruments", "50"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        lines = iter(running.stdout.readline, "")
        seen = next(line for line in lines if "ticks/s" in line)
        running.send_signal(signal.SIGINT)
        output, errors = running.stdout.read(), running.stderr.read()
    assert "connections" in seen
    assert (running.returncode, errors) == (130, "")
    assert "rows held in" in output


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.read_csv(SimulatedKite().instruments.dump_csv())


def test_the_watch_list_has_well_known_names_and_the_nearest_futures(
    instruments: Instruments,
) -> None:
    symbols = instruments.symbols(watch_list(instruments)).to_list()
    assert symbols[: len(WATCH_LIST)] == list(WATCH_LIST)
    futures = symbols[len(WATCH_LIST) :]
    assert [symbol.split(":")[0] for symbol in futures] == [name for name, _ in NEAREST_FUTURES]
    assert all(symbol.endswith("FUT") for symbol in futures)


@pytest.mark.parametrize("count", [1, 5, 100, 9000])
def test_as_many_different_instruments_as_asked_are_chosen(
    instruments: Instruments, count: int
) -> None:
    watched = watch_list(instruments)
    by_mode = choose(instruments, watched, count)
    tokens = [token for some in by_mode.values() for token in some]
    assert len(tokens) == len(set(tokens)) == count
    assert by_mode[Mode.FULL][: len(watched)] == watched[:count]
    assert all(by_mode.values())


def test_they_come_from_every_exchange_in_every_mode(instruments: Instruments) -> None:
    by_mode = choose(instruments, [], 9000)
    assert list(by_mode) == [Mode.FULL, Mode.QUOTE, Mode.LTP]
    for tokens in by_mode.values():
        chosen = instruments.frame.filter(pl.col("instrument_token").is_in(tokens))
        assert set(chosen["exchange"]) == set(instruments.frame["exchange"])


def test_latest_values_are_in_the_order_of_the_watch_list() -> None:
    infy = {
        "instrument_token": 408065,
        "last_price": 1573.7,
        "bid_price": [1573.65, 1573.5, 1573.45, 1573.4, 1573.35],
    }
    ticks = pl.DataFrame([infy, {"instrument_token": 256265, "last_price": 1.5}], schema=SCHEMA)
    shown = latest_values(ticks, [256265, 1, 408065])
    assert shown["last_price"].to_list() == [1.5, 1573.7]
    assert shown["bid_price"].to_list() == [None, 1573.65]
