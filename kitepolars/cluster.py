"""A function of each day of ticks: in this process, in several, or on a Dask cluster.

Any thread; the one that calls is blocked. What a partition gives depends on it alone, and results
are put together in the order of partitions, so that the answer is the same wherever it is computed.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from uuid import uuid4

import polars as pl

from kitepolars.errors import ConfigError, PartitionFailed
from kitepolars.journal.folder import recorded_days
from kitepolars.recordings.frames import read_journal

if TYPE_CHECKING:
    from distributed import Client, Future

Answer: TypeAlias = pl.DataFrame | pl.LazyFrame
"""What a function gives for a partition."""

MAX_LOST_POOLS: Final = 3
"""How many times a process may end early before what it was working on is given up."""


class Partition(NamedTuple):
    """A part of a table.

    Parameters
    ----------
    name
        What errors call it.
    day
        The day.
    instruments
        Names or tokens; None for all.
    """

    name: str
    day: dt.date
    instruments: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True)
class _FailedTask:
    """What went wrong with a partition, as text: not every exception can be sent."""

    reason: str
    details: str


_Outcome: TypeAlias = pl.DataFrame | _FailedTask
_Outcomes: TypeAlias = Generator[tuple[int, _Outcome]]


@dataclass(frozen=True, slots=True)
class _Task:
    """What is done with each partition. It can be sent to another process.

    Parameters
    ----------
    function
        The function.
    table
        The table's folder or URL.
    """

    function: Callable[[pl.LazyFrame], Answer]
    table: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Pack the function, too, where it is defined in a notebook or within another one."""
        return _unpacked, (_packed(self.function), self.table)

    def __call__(self, partition: Partition) -> _Outcome:
        """Apply the function to a partition; what it raises is returned."""
        try:
            return self._apply(partition)
        except Exception as error:  # noqa: BLE001 - of the user's function: whatever it is
            return _FailedTask(_reason(error), traceback.format_exc())

    def _apply(self, partition: Partition) -> pl.DataFrame:
        answer = self.function(_opened(self.table, partition))
        if isinstance(answer, pl.LazyFrame):
            answer = answer.collect(engine="streaming")
        if not isinstance(answer, pl.DataFrame):
            raise TypeError(f"the function returned {type(answer).__name__}, not a frame")
        return answer


def map_days(
    function: Callable[[pl.LazyFrame], Answer],
    table: str | os.PathLike[str],
    *,
    start: dt.date | None = None,
    end: dt.date | None = None,
    instruments: Sequence[str | int] | None = None,
    workers: int = 1,
    client: Client | None = None,
    progress: bool = True,
) -> pl.DataFrame:
    """Apply a function to each day of ticks, and return the results as one frame.

    The answer is the same in this process, in a pool of processes and on a Dask cluster. A worker
    that dies costs the time of the partitions that it was working on, and nothing else.

    Parameters
    ----------
    function
        Takes a LazyFrame of a day's ticks, as from `read_journal`, and returns a frame, lazy or
        not. It is sent to the workers: one that is defined in a notebook needs the extra ``dask``
        for that.
    table
        The folder of a recording. Every worker must reach it by that name.
    start, end
        The first day, and the day before which it ends. By default all there are.
    instruments
        Only these: names or tokens. By default all.
    workers
        How many processes of this machine work at a time; 1 for this process alone.
    client
        A ``distributed.Client`` of the Dask cluster that works instead. A cluster executes what it
        is sent: connect to your own only, with TLS beyond loopback.
    progress
        Whether to show a progress bar in a terminal or a notebook.

    Returns
    -------
    polars.DataFrame
        The results below each other, in the order of days.

    Raises
    ------
    PartitionFailed
        When the function raises for a partition, or its worker dies again and again. The message
        says which partition it is; the traceback of the worker is in its notes.
    ConfigError
        For a setting out of range, a function that cannot be sent, and results of different
        columns.

    Examples
    --------
    >>> import tempfile
    >>> from kitepolars.playback import SAMPLE
    >>> def count(ticks: pl.LazyFrame) -> pl.LazyFrame:
    ...     return ticks.select(pl.len().alias("ticks"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     day = Path(folder) / "2026-11-20"
    ...     day.mkdir()
    ...     _ = (day / "000000000000.kpj.zst").write_bytes(SAMPLE.read_bytes())
    ...     map_days(count, folder, progress=False)["ticks"].to_list()
    [3774]
    """
    if workers < 1:
        raise ConfigError("workers", workers, "at least 1")
    partitions = _partitions(table, start, end, instruments)
    task = _Task(function, os.fspath(table))
    if workers > 1 or client is not None:
        pickle.dumps(task)  # raises here what would be raised out of sight
    if client is not None:
        outcomes = _on_cluster(task, partitions, client)
    elif workers > 1:
        outcomes = _in_processes(task, partitions, workers)
    else:
        outcomes = _here(task, partitions)
    answers: dict[int, pl.DataFrame] = {}
    with closing(outcomes), _bar(len(partitions), shown=progress) as advance:
        for number, outcome in outcomes:
            if isinstance(outcome, _FailedTask):
                error = PartitionFailed(partitions[number].name, outcome.reason)
                error.add_note(outcome.details)
                raise error
            answers[number] = outcome
            advance()
    return _together(partitions, [answers[number] for number in range(len(partitions))])


# -- the partitions ----------------------------------------------------------------------------


def _partitions(
    table: str | os.PathLike[str],
    start: dt.date | None,
    end: dt.date | None,
    instruments: Sequence[str | int] | None,
) -> list[Partition]:
    """Return the partitions of a table, in order."""
    days = [
        day
        for day in recorded_days(table)
        if (start is None or start <= day) and (end is None or day < end)
    ]
    if not days:
        none = f"{os.fspath(table)} has no day of this range"
        raise ConfigError("table", os.fspath(table), message=none)
    some = None if instruments is None else tuple(instruments)
    return [Partition(day.isoformat(), day, some) for day in days]


def _opened(table: str, partition: Partition) -> pl.LazyFrame:
    """Return a partition's ticks. Worker."""
    folder = Path(table) / partition.day.isoformat()
    return read_journal(folder, instruments=partition.instruments)


# -- where the work is done ------------------------------------------------------------------


def _here(task: _Task, partitions: Sequence[Partition]) -> _Outcomes:
    """Yield outcomes of this process, one after the other."""
    for number, one in enumerate(partitions):
        yield number, task(one)


def _in_processes(task: _Task, partitions: Sequence[Partition], workers: int) -> _Outcomes:
    """Yield outcomes as they come from a pool of new processes; one that breaks is replaced."""
    waiting = dict(enumerate(partitions))
    lost = 0
    while waiting:
        context = multiprocessing.get_context("spawn")  # Polars' threads do not survive a fork
        pool = ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context)
        try:
            futures = {pool.submit(task, one): number for number, one in waiting.items()}
            for future in as_completed(futures):
                if isinstance(future.exception(), BrokenProcessPool):
                    continue
                del waiting[futures[future]]
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
        lost += bool(waiting)
        if lost > MAX_LOST_POOLS:
            number = min(waiting)
            yield number, _FailedTask(f"a process ended early {lost} times", _OUT_OF_MEMORY)


def _on_cluster(task: _Task, partitions: Sequence[Partition], client: Client) -> _Outcomes:
    """Yield outcomes as they come from a Dask cluster, which repeats what a lost worker had."""
    from distributed import as_completed as as_completed_there  # noqa: PLC0415 - an extra
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - likewise

    run = uuid4().hex
    futures: dict[Future, int] = {
        client.submit(task, one, key=f"map_days-{run}-{number}", pure=False): number
        for number, one in enumerate(partitions)
    }
    try:
        for future in as_completed_there(list(futures)):
            number = futures[future]
            try:
                outcome: _Outcome = future.result()
            except KilledWorker as error:
                outcome = _FailedTask(f"its workers died: {error}", _OUT_OF_MEMORY)
            yield number, outcome
            future.release()  # the worker need not hold it any more
    finally:
        client.cancel(list(futures))


_OUT_OF_MEMORY: Final = (
    "Most often the system ended it for want of memory: use fewer workers, or ask for less."
)


# -- what is sent and what comes back ----------------------------------------------------------


def _packed(function: Callable[..., object]) -> bytes:
    """Return a function as bytes that another process can load.

    Raises
    ------
    ConfigError
        When it cannot be sent.
    """
    try:
        import cloudpickle  # noqa: PLC0415 - an extra
    except ImportError:
        cloudpickle = None
    if cloudpickle is None and getattr(function, "__module__", "__main__") == "__main__":
        raise ConfigError(
            "function",
            function,
            message="a function that is defined in a notebook or script can be sent to workers "
            "only with cloudpickle: pip install 'kitepolars[dask]'",
        )
    try:
        packed: bytes = (cloudpickle or pickle).dumps(function)
    except Exception as error:
        unsent = f"the function cannot be sent to workers: {error}"
        raise ConfigError("function", function, message=unsent) from error
    return packed


def _unpacked(function: bytes, table: str) -> _Task:
    return _Task(pickle.loads(function), table)  # noqa: S301 - packed by `map_days`


def _reason(error: Exception) -> str:
    """Return what was raised and where, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} (line {frames[-1].lineno} of {frames[-1].name})"


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Callable[[], object]]:
    """Show a progress bar; what is yielded advances it by a partition."""
    if not shown:
        yield lambda: None
        return
    from rich.progress import Progress  # noqa: PLC0415 - loaded on use

    with Progress() as bar:
        task = bar.add_task("partitions", total=total)
        yield lambda: bar.advance(task)


def _together(partitions: Sequence[Partition], answers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put results below each other."""
    for partition, answer in zip(partitions, answers, strict=True):
        if answer.schema != answers[0].schema:
            raise ConfigError(
                "function",
                None,
                message=f"the function returned other columns for {partition.name} than for "
                f"{partitions[0].name}: {answer.schema} and {answers[0].schema}",
            )
    return pl.concat(answers)
