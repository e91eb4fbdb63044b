"""A soak: the rate of a market, with faults throughout, and an account of every packet.

`test_soak.py` plays it, by default for two minutes. The server (`market_server.py`) numbers its
packets. At the end nothing may be missing outside gaps, nothing may be there twice, memory must be
flat, and no thread, file, socket or process may be left. With a recorder, which is killed now and
then, the journal must have the same ticks as the notebook that follows it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import psutil

import kitepolars as kp
from kitepolars.feed.account import Account as Credentials
from kitepolars.process import ServerProcess
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request

TOKENS = tuple(range(257, 257 + 8_970 * 256, 256))
"""The instruments of which every packet is accounted for."""

CHURNED = tuple(range(TOKENS[-1] + 256, TOKENS[-1] + 31 * 256, 256))
"""Further instruments, subscribed and unsubscribed all the time."""

STRIDE = 10
"""By how much the number of an instrument's packet is higher than that of the one before."""

HELD = 500_000
"""Rows of the bounded history: half a minute of the market."""

PATIENCE = 90.0
"""Seconds in which everything must be back after the last fault: the longest delay is a minute."""


@dataclass
class Account:
    """What is known of every instrument's packets. One thread."""

    last: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(TOKENS), np.int64))
    at: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(TOKENS), np.int64))
    holes: list[npt.NDArray[np.int64]] = field(default_factory=list)
    """Where packets are missing: when the last was there before, when the next, how many."""
    rows: int = 0
    twice: int = 0
    backwards: int = 0

    def take(self, batch: pl.DataFrame) -> None:
        """Take a batch of ticks in the order of arrival."""
        self.rows += batch.height
        batch = batch.filter(pl.col("instrument_token") <= TOKENS[-1])
        which = (batch["instrument_token"].to_numpy().astype(np.int64) - TOKENS[0]) // 256
        order = np.argsort(which, kind="stable")
        which = which[order]
        numbers = batch["volume_traded"].to_numpy().astype(np.int64)[order]
        times = batch["received_at"].dt.epoch("us").to_numpy()[order]
        is_cached = batch["is_snapshot"].to_numpy()[order]
        is_first = np.diff(which, prepend=-1) != 0
        before = np.where(is_first, self.last[which], np.roll(numbers, 1))
        before_at = np.where(is_first, self.at[which], np.roll(times, 1))
        steps = numbers - before
        self.backwards += int(np.sum(times < before_at))
        self.twice += int(np.sum((steps <= 0) & ~is_cached))
        missing = (before > 0) & (steps > STRIDE)
        spans = np.column_stack([before_at, times])[missing]
        unique, which_span = np.unique(spans, axis=0, return_inverse=True)
        packets = np.bincount(which_span.ravel(), (steps // STRIDE - 1)[missing], len(unique))
        if len(unique):  # or our own list would grow with every batch
            self.holes.append(np.column_stack([unique, packets.astype(np.int64)]))
        is_last = np.diff(which, append=-1) != 0
        self.last[which[is_last]] = np.maximum(numbers, before)[is_last]
        self.at[which[is_last]] = times[is_last]

    def unexplained(self, gaps: pl.DataFrame) -> int:
        """Return how many packets are missing outside all gaps."""
        starts = np.sort(gaps["started_at"].dt.epoch("us").to_numpy())
        holes = np.concatenate(self.holes)
        place = np.searchsorted(starts, holes[:, 0])
        begins = np.append(starts, np.iinfo(np.int64).max)[place]
        is_open = begins > holes[:, 1]
        pauses = gaps.filter(pl.col("reason").str.starts_with("the event loop")).select(
            pl.col("started_at", "ended_at").dt.epoch("us")
        )
        for since, until in pauses.iter_rows():
            is_open &= (holes[:, 1] < since) | (holes[:, 0] > until)
        return int(holes[is_open, 2].sum())

    @property
    def missed(self) -> int:
        """How many packets are missing."""
        return int(sum(hole[:, 2].sum() for hole in self.holes))


@dataclass
class Result:
    """What a soak found."""

    seed: int
    faults: dict[str, int]
    ticks: int
    missed: int
    unexplained: int
    twice: int
    backwards: int
    gaps: int
    open_gaps: int
    behind: int
    growth: float
    resident: float
    left: dict[str, int]
    unlike: int = 0
    """By how many ticks the recording and the notebook differ."""
    recorder: float = 0.0
    """The largest resident set of a recorder that was seen, in MiB."""

    @property
    def is_good(self) -> bool:
        """Whether all holds but for memory, whose bound depends on the duration."""
        wrong = (self.unexplained, self.twice, self.backwards, self.open_gaps, self.behind)
        return not any(wrong) and not any(self.left.values()) and not self.unlike


class Soak:
    """A ticker, a market that breaks, and a seed that decides how."""

    def __init__(
        self, server: ServerProcess, ticker: kp.Ticker, seed: int, folder: Path | None = None
    ) -> None:
        self.server, self.ticker, self.folder = server, ticker, folder
        self.recorder_resident = 0
        self.chance = random.Random(seed)
        self.account = Account()
        self.done: dict[str, int] = {}

    def tell(self, fault: str, *values: object) -> int:
        """Ask the server for a fault, and return the number it has reached."""
        self.server.write_line(json.dumps([fault, *values]))
        return int(self.server.read_line())

    def faults(self) -> dict[str, Callable[[], object]]:
        """Return what may happen next, by name."""
        chance, ticker = self.chance, self.ticker
        return {
            "cut": lambda: self.tell("cut", chance.randrange(3)),
            "half-open": lambda: self.tell("freeze", chance.randrange(3)),
            "reset": lambda: self.tell("reset"),
            "end of stream": lambda: self.tell("end"),
            "close": lambda: self.tell("close"),
            "refuse": lambda: (
                self.tell("refuse", *chance.choices([429, 500, 503], k=3)),
                self.tell("cut", chance.randrange(3)),
            ),
            "garbage": lambda: self.tell("inject", chance.randbytes(chance.randrange(1, 40)).hex()),
            "malformed": lambda: self.tell(
                "malformed", chance.randbytes(chance.randrange(2, 60)).hex()
            ),
            "handshakes hang": self.hang,
            "held lock": lambda: ctypes.PyDLL(None).usleep(int(1e6 * chance.uniform(3.2, 6))),
            "modes": lambda: ticker.set_mode(list(TOKENS), chance.choice(["full", "quote"])),
            "churn": self.churn,
            "token": lambda: ticker.set_access_token(f"token{chance.randrange(10)}"),
            "questions": self.ask,
            "failing callbacks": self.fail,
        } | ({} if self.folder is None else {"recorder killed": self.kill})

    def kill(self) -> None:
        """Kill the recorder, and start another, which finds the subscriptions in the journal."""
        assert self.folder is not None
        recorder = psutil.Process(Recorder(self.folder).ask("status")["pid"])
        self.recorder_resident = max(self.recorder_resident, recorder.memory_info().rss)
        os.kill(recorder.pid, signal.SIGKILL)
        launch(self.folder, [Credentials("default", "key", "token")], Request(url=self.server.url))

    def stop_recorder(self) -> None:
        """Stop the recorder, and wait until the notebook has read all that it wrote."""
        assert self.folder is not None
        recorder = Recorder(self.folder)
        process = psutil.Process(recorder.ask("status")["pid"])
        recorder.ask("stop")
        process.wait(PATIENCE)
        self.ticker.wait(
            until=lambda ticker: ticker.events()["detail"].str.contains("was stopped").any(),
            timeout=PATIENCE,
        )

    def ask(self) -> None:
        """Ask for what a user looks at."""
        self.ticker.latest()
        self.ticker.orders()
        self.ticker.monitor().close()

    def churn(self) -> None:
        """Subscribe instruments and drop them at once."""
        self.ticker.subscribe(list(CHURNED))
        self.ticker.unsubscribe(list(CHURNED))

    def hang(self) -> None:
        """Let the next handshakes hang while one connection is cut."""
        self.tell("admit", "HANG")
        self.tell("cut", self.chance.randrange(3))
        time.sleep(3)
        self.tell("admit", "FORWARD")

    def fail(self) -> None:
        """Have callbacks that fail, exit, and are slow."""

        def fails(_: object) -> None:
            raise SystemExit

        def sleeps(_: object) -> None:
            time.sleep(1.0)

        for callback in (fails, sleeps):
            self.ticker.on_batch(callback)
        time.sleep(1.5)
        for callback in (fails, sleeps):
            self.ticker.off(callback)

    def play(self, seconds: float, between: float) -> list[int]:
        """Break something now and then, and return the resident set at each moment."""
        end = time.monotonic() + seconds
        process, resident = psutil.Process(), []
        names = list(self.faults())
        order: list[str] = []
        while time.monotonic() < end:
            if not order:
                order = self.chance.sample(names, len(names))  # each as often as the others
            name = order.pop()
            self.faults()[name]()
            self.done[name] = self.done.get(name, 0) + 1
            until = time.monotonic() + self.chance.uniform(0.5, 1.5) * between
            while time.monotonic() < until:
                time.sleep(0.5)
                self.ticker.frame()
                resident.append(process.memory_info().rss)
        return resident

    def settle(self) -> int:
        """Wait until everything is back, and return how many instruments are not."""
        number = self.tell("nothing")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._is_whole(number):
            time.sleep(0.2)
        return int(np.sum(self.account.last < number))

    def _is_whole(self, number: int) -> bool:
        waiting = self.ticker.gaps()["waiting"].sum()
        return waiting == 0 and bool((self.account.last >= number).all())


def left_over(before: dict[str, int]) -> dict[str, int]:
    """Return how many threads, files and processes there are more than before."""
    deadline = time.monotonic() + PATIENCE
    while True:
        gc.collect()
        more = {kind: max(0, many - before[kind]) for kind, many in here().items()}
        if not any(more.values()) or time.monotonic() > deadline:
            return more
        time.sleep(0.1)


def here() -> dict[str, int]:
    """Return how many threads, open files and sockets, and child processes this process has."""
    process = psutil.Process()
    return {
        "threads": threading.active_count(),
        "files": process.num_fds(),
        "processes": len(process.children()),
    }


def soak(
    *,
    seconds: float,
    seed: int,
    between: float = 4.0,
    warm_up: float = 40.0,
    folder: Path | None = None,
) -> Result:
    """Play one, with a recorder in a folder if one is given."""
    names = kp.Instruments.from_records([])
    with ServerProcess(Path(__file__).with_name("market_server.py")) as server:
        with kp.Ticker(  # a first one loads what stays loaded: thread pools, lazy imports
            "key", "token", url=server.url, instruments=names
        ) as first:
            first.subscribe(list(CHURNED), mode="full")
            first.wait(rows=30, timeout=PATIENCE)
        before = here()
        ticker = kp.Ticker(
            "key",
            "token0",
            url=server.url,
            instruments=names,
            retention=kp.Retention(max_rows=HELD),
            default_mode="full",
            recorder=folder,
        )
        play = Soak(server, ticker, seed, folder)
        ticker.on_batch(play.account.take)
        with ticker:
            ticker.subscribe(list(TOKENS))
            resident = play.play(warm_up, between)
            resident = play.play(seconds, between)
            behind = play.settle()
            gaps = ticker.gaps()
            if folder is not None:
                play.stop_recorder()
            ticks = ticker.stats().ticks
        ticker.off(play.account.take)
        result = Result(
            seed=seed,
            faults=play.done,
            ticks=ticks,
            missed=play.account.missed,
            unexplained=play.account.unexplained(gaps),
            twice=play.account.twice,
            backwards=play.account.backwards,
            gaps=gaps.height,
            open_gaps=int((gaps["waiting"] > 0).sum()),
            behind=behind,
            growth=growth(resident),
            resident=resident[-1] / 2**20,
            left=left_over(before),
            unlike=0 if folder is None else abs(recorded(folder) - ticks),
            recorder=play.recorder_resident / 2**20,
        )
        del ticker
    return result


def recorded(folder: Path) -> int:
    """Return how many ticks a recording has."""
    return int(kp.read_journal(folder).select(pl.len()).collect().item())


def growth(resident: list[int]) -> float:
    """Return by how many percent a line through the resident set rises."""
    line = np.polynomial.Polynomial.fit(np.arange(len(resident)), np.array(resident), 1)
    begin, end = line(0), line(len(resident) - 1)
    return float(100 * (end / begin - 1))
