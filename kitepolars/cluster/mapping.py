"""`map_days`: partitions out, answers back, put together in their order. Any thread.

The thread that calls is blocked. What a partition gives depends on it alone, so the answer is the
same wherever it is computed.
"""

from __future__ import annotations

import datetime as dt
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import polars as pl

from kitepolars.cluster.partitions import By, Days, Partition, ticks_at
from kitepolars.cluster.workers import (
    Answer,
    FailedTask,
    Task,
    in_processes,
    in_this_process,
    on_cluster,
)
from kitepolars.days.storage import StorageOptions
from kitepolars.errors import ConfigError, PartitionFailed, check_choice

if TYPE_CHECKING:
    from distributed import Client


def map_days(
    function: Callable[[pl.LazyFrame], Answer],
    table: str | os.PathLike[str],
    *,
    by: By = "day",
    start: dt.date | None = None,
    end: dt.date | None = None,
    instruments: Sequence[str | int] | None = None,
    workers: int = 1,
    client: Client | None = None,
    storage_options: StorageOptions | None = None,
    progress: bool = True,
) -> pl.DataFrame:
    """Apply a function to each partition of recorded ticks, and return the results as one frame.

    The answer is the same in this process, in a pool of processes and on a Dask cluster. A worker
    that dies costs the time of the partitions that it was working on, and nothing else.

    Parameters
    ----------
    function
        Takes a LazyFrame of a partition's ticks, as from `scan`, and returns a frame, lazy or not.
        It is sent to the workers: one that is defined in a notebook needs the extra ``dask`` for
        that.
    table
        The folder or the URL of a table of days, or the folder of a recording. Every worker must
        reach it by that name.
    by
        ``"day"`` for a partition a trading day, ``"instruments"`` for one a group of instruments
        with all its days: for a function that needs more than a day of an instrument. A recording
        has days only.
    start, end
        The first day and the last. By default all there are.
    instruments
        Only these: names or tokens. By default all.
    workers
        How many processes of this machine work at a time; 1 for this process alone.
    client
        A ``distributed.Client`` of the Dask cluster that works instead. A cluster executes what it
        is sent: connect to your own only, with TLS beyond loopback.
    storage_options
        Settings of the object store, as in `scan`. They are sent to the workers; settings in each
        worker's environment need not be.
    progress
        Whether to show a progress bar in a terminal or a notebook.

    Returns
    -------
    polars.DataFrame
        The results below each other, in the order of days, or of instrument tokens.

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
    >>> from kitepolars.days.publish import publish
    >>> from kitepolars.playback import SAMPLE
    >>> def count(ticks: pl.LazyFrame) -> pl.LazyFrame:
    ...     return ticks.select(pl.len().alias("ticks"))
    >>> with tempfile.TemporaryDirectory() as days:
    ...     added = publish(SAMPLE, days)
    ...     map_days(count, days, progress=False)["ticks"].to_list()
    [3774]
    """
    if workers < 1:
        raise ConfigError("workers", workers, "at least 1")
    check_choice("by", by, By)
    ticks = ticks_at(os.fspath(table), storage_options)
    some = None if instruments is None else tuple(instruments)
    partitions = ticks.partitions(by, Days(start, end), some)
    task = Task(function, ticks)
    if workers > 1 or client is not None:
        pickle.dumps(task)  # raises here what would be raised out of sight
    if client is not None:
        outcomes = on_cluster(task, partitions, client)
    elif workers > 1:
        outcomes = in_processes(task, partitions, workers)
    else:
        outcomes = in_this_process(task, partitions)
    answers: dict[int, pl.DataFrame] = {}
    with closing(outcomes), _bar(len(partitions), shown=progress) as advance:
        for number, outcome in outcomes:
            if isinstance(outcome, FailedTask):
                error = PartitionFailed(partitions[number].name, outcome.reason)
                error.add_note(outcome.details)
                raise error
            answers[number] = outcome
            advance()
    return _together(partitions, [answers[number] for number in range(len(partitions))])


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
