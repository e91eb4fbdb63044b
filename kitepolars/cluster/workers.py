"""Where the work is done: in this process, in a pool of processes, or on a Dask cluster.

Each way yields outcomes as they come, with the number of the partition, and none of them raises
what the user's function raises.
"""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

import polars as pl

from kitepolars.cluster.partitions import Partition, Ticks
from kitepolars.errors import ConfigError

if TYPE_CHECKING:
    from distributed import Client, Future

Answer: TypeAlias = pl.DataFrame | pl.LazyFrame
"""What a function gives for a partition."""

MAX_LOST_POOLS: Final = 3
"""How many times a process may end early before what it was working on is given up."""

_OUT_OF_MEMORY: Final = "Most often it ran out of memory: use fewer workers, or request less."


@dataclass(frozen=True, slots=True)
class FailedTask:
    """What went wrong with a partition, as text: not every exception can be sent."""

    reason: str
    details: str


Outcome: TypeAlias = pl.DataFrame | FailedTask
Outcomes: TypeAlias = Generator[tuple[int, Outcome]]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with each partition. It can be sent to another process.

    Parameters
    ----------
    function
        The function.
    ticks
        Where the ticks are.
    """

    function: Callable[[pl.LazyFrame], Answer]
    ticks: Ticks

    def __reduce__(self) -> tuple[Any, ...]:
        """Pack the function, too, where it is defined in a notebook or within another one."""
        return _unpacked, (_packed(self.function), self.ticks)

    def __call__(self, partition: Partition) -> Outcome:
        """Apply the function to a partition; what it raises is returned."""
        try:
            return self._apply(partition)
        except Exception as error:  # noqa: BLE001 - of the user's function: whatever it is
            return FailedTask(_reason(error), traceback.format_exc())

    def _apply(self, partition: Partition) -> pl.DataFrame:
        answer = self.function(self.ticks.opened(partition))
        if isinstance(answer, pl.LazyFrame):
            answer = answer.collect(engine="streaming")
        if not isinstance(answer, pl.DataFrame):
            raise TypeError(f"the function returned {type(answer).__name__}, not a frame")
        return answer


def in_this_process(task: Task, partitions: Sequence[Partition]) -> Outcomes:
    """Yield outcomes of this process, one after the other."""
    for number, one in enumerate(partitions):
        yield number, task(one)


def in_processes(task: Task, partitions: Sequence[Partition], workers: int) -> Outcomes:
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
            yield number, FailedTask(f"a process ended early {lost} times", _OUT_OF_MEMORY)


def on_cluster(task: Task, partitions: Sequence[Partition], client: Client) -> Outcomes:
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
                outcome: Outcome = future.result()
            except KilledWorker as error:
                outcome = FailedTask(f"its workers died: {error}", _OUT_OF_MEMORY)
            yield number, outcome
            future.release()  # the worker need not hold it any more
    finally:
        client.cancel(list(futures))


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
            "in a module that workers can import, or sent with the extra: pip install "
            "'kitepolars[dask]'",
        )
    try:
        packed: bytes = (cloudpickle or pickle).dumps(function)
    except Exception as error:
        unsendable = f"function cannot be sent to workers: {error}"
        raise ConfigError("function", function, message=unsendable) from error
    return packed


def _unpacked(function: bytes, ticks: Ticks) -> Task:
    return Task(pickle.loads(function), ticks)  # noqa: S301 - packed by `map_days`


def _reason(error: Exception) -> str:
    """Return what was raised and where, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} (line {frames[-1].lineno} of {frames[-1].name})"
