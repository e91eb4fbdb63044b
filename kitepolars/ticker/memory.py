"""Memory that ticks fill: when it will be full at the present rate, and what there is. Loop thread.

The planning is pure and takes its clock and its memory from outside. What is free is what the
machine has, or what its control group leaves (a container, a systemd unit), the smaller of both.
"""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kitepolars.frames.store import TICK_BYTES, Bounds, Retention

HORIZON: Final = 3_600.0
"""Seconds: what will not be full within an hour is no reason to warn."""

RELIEF: Final = 5_400.0
"""Seconds from which on a warning is withdrawn: more than `HORIZON`, or it would flicker."""

RATE_WINDOW: Final = 60.0
"""Seconds over which the present rate is measured."""

MEMORY_EVERY: Final = 5.0
"""Seconds between two looks."""

PRESSING: Final = 0.25
"""Share of the memory that ticks may fill before less than `RATE_WINDOW` is enough to warn."""

GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOutlook:
    """What ticks hold of the memory, and when it will be full at the present rate.

    Parameters
    ----------
    held
        Bytes of the ticks held.
    rate
        Bytes a second by which they grow at present.
    free
        Bytes that can still be allocated, or None where that is not known.
    full_in
        Seconds until nothing is free; None if that is not within `HORIZON`.
    is_recorded
        Whether there is a recording of what is held.

    Examples
    --------
    >>> MemoryOutlook(held=3 * GIB, rate=4e6, free=GIB, full_in=268.0).warning
    'memory full in 4 min: bound it with retention=Retention(max_bytes=...)'
    """

    held: int = 0
    rate: float = 0.0
    free: int | None = None
    full_in: float | None = None
    is_recorded: bool = False

    @property
    def warning(self) -> str:
        """When the memory will be full, and what to do; empty if all is well."""
        if self.full_in is None:
            return ""
        bound = "max_age=600" if self.is_recorded else "max_bytes=..."
        minutes = max(1, round(self.full_in / 60))
        return f"memory full in {minutes} min: bound it with retention=Retention({bound})"

    @property
    def detail(self) -> str:
        """The warning, its figures, and what becomes of what is dropped."""
        free, an_hour = (self.free or 0) / GIB, self.rate * 3_600 / GIB
        rest = (
            "scan() has the rest"
            if self.is_recorded
            else "recorder=... or ticker.record(...) keeps what it drops"
        )
        return (
            f"{self.warning}; {rest}. The ticks held take {self.held / GIB:.1f} GiB and "
            f"{an_hour:.1f} GiB more an hour; {free:.1f} GiB is free"
        )


def seconds_until_full(
    held: int, rate: float, free: int | None, retention: Retention
) -> float | None:
    """Return after how many seconds ticks fill the memory, or None if they never do.

    Parameters
    ----------
    held
        Bytes of the ticks held.
    rate
        Bytes a second that are added.
    free
        Bytes that can still be allocated, or None where that is not known.
    retention
        The bounds of the history, which may drop ticks before.

    Examples
    --------
    >>> seconds_until_full(0, 1e6, 60_000_000, Retention())
    60.0
    >>> seconds_until_full(0, 1e6, 60_000_000, Retention(max_bytes=50_000_000))
    """
    if free is None or rate <= 0:
        return None
    bounds = Bounds.of(retention)
    most = min(bounds.rows * TICK_BYTES, bounds.seconds * rate)
    return None if most - held <= free else free / rate


class MemoryWatch:
    """Looks at the ticks held from time to time, and says when they will fill the memory.

    Parameters
    ----------
    retention
        The bounds of the history.
    report
        Takes the detail of an event: a warning, or its end.
    is_recorded
        Whether there is a recording of what is held.
    clock
        Seconds, monotonic. Not that of a recording: memory fills in real time.
    free
        Returns the bytes that can still be allocated, or None.
    """

    def __init__(
        self,
        retention: Retention,
        report: Callable[[str], object],
        *,
        is_recorded: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        free: Callable[[], int | None] | None = None,
    ) -> None:
        self._retention = retention
        self._report = report
        self._is_recorded = is_recorded
        self._clock = clock
        self._free = free or free_memory
        self._samples: deque[tuple[float, int]] = deque()
        self._next_look = float("-inf")
        self.outlook = MemoryOutlook()
        """As of the last look."""

    def look(self, rows: int, total: int) -> None:
        """Look again, if that is due.

        Parameters
        ----------
        rows
            Ticks held.
        total
            Ticks received so far, including dropped ones.
        """
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + MEMORY_EVERY
        self._samples.append((now, total))
        while len(self._samples) > 1 and self._samples[1][0] <= now - RATE_WINDOW:
            self._samples.popleft()
        held, free, rate = rows * TICK_BYTES, self._free(), self._rate()
        left = seconds_until_full(held, rate, free, self._retention)
        is_sure = now - self._samples[0][0] >= RATE_WINDOW or held > PRESSING * (held + (free or 0))
        was_warned = self.outlook.full_in is not None
        is_warned = left is not None and left <= (RELIEF if was_warned else HORIZON)
        is_warned = is_warned and (was_warned or is_sure)
        self.outlook = MemoryOutlook(
            held=held,
            rate=rate,
            free=free,
            full_in=left if is_warned else None,
            is_recorded=self._is_recorded(),
        )
        if is_warned and not was_warned:
            self._report(self.outlook.detail)
        elif was_warned and not is_warned:
            self._report("the ticks held will not fill the memory within the hour any more")

    def _rate(self) -> float:
        """Return the bytes a second of the slower half of the window: a burst is no rate."""
        first, middle, last = (self._samples[place] for place in (0, len(self._samples) // 2, -1))
        rates = [
            (after[1] - before[1]) / (after[0] - before[0])
            for before, after in ((first, middle), (middle, last))
            if after[0] > before[0]
        ]
        return max(0.0, min(rates, default=0.0)) * TICK_BYTES


# -- what there is -----------------------------------------------------------------------------

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def free_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that can be allocated without swapping, or None where that is not known.

    Parameters
    ----------
    proc, cgroups
        Where Linux tells. Elsewhere `psutil` is asked, which comes with Jupyter's kernel.
    """
    try:
        lines = (proc / "meminfo").read_text("ascii").splitlines()
    except OSError:
        return _psutil_free()
    available = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    if not available:
        return None
    return min([int(available[0]) * 1_024, *_left_by_groups(proc, cgroups)])


def _psutil_free() -> int | None:
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _left_by_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what the process's control group and those around it leave, where they have a limit."""
    try:
        groups = (proc / "self" / "cgroup").read_text("ascii").splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names, top = _V2, cgroups
        elif "memory" in controllers.split(","):
            names, top = _V1, cgroups / "memory"
        else:
            continue
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):
            if (left := _left_by(folder, *names)) is not None:
                yield left
            if folder == top:
                break


_V2: Final = ("memory.max", "memory.current", "inactive_file")
_V1: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _left_by(folder: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    """Return the bytes that a control group leaves; files it has cached make room when needed."""
    try:
        limit = (folder / limit_name).read_text("ascii").strip()
        usage = int((folder / usage_name).read_text("ascii"))
        counters = (folder / "memory.stat").read_text("ascii").split()
    except (OSError, ValueError):
        return None  # the group has no limit, or is not to be seen from inside a container
    if not limit.isdecimal():  # "max"
        return None
    by_name = dict(zip(counters[::2], counters[1::2], strict=False))
    return max(0, int(limit) - usage + int(by_name.get(cache_name, 0)))
