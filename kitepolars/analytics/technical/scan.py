"""A pass over bars that can be continued, for indicators. One owner; any thread.

An indicator is a plain function of arrays. For whatever looks at earlier rows of the instrument it
calls a method of the `BarScan` that it is given; everything else is arithmetic on whole arrays. The
scan keeps what each call remembers, in the order of the calls, by instrument. So the same function
computes a frame at once or bar by bar, with results that are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.frames.index import TokenIndex

Floats: TypeAlias = npt.NDArray[np.float64]
"""Values by row; NaN where there is none."""

Sessions: TypeAlias = npt.NDArray[np.int64]
"""A number for the session of each row."""

_WINDOWS: Final = ("mean", "weighted", "deviation", "highest", "lowest")
_SINCE: Final = ("sum", "maximum", "minimum", "first")
"""In the order of the enumerations of `scans.c`."""

_NUMBER: Final = np.dtype("f8")
_SMOOTH: Final = np.dtype([("value", "f8"), ("seen", "f8")])
_SINCE_STATE: Final = np.dtype([("value", "f8"), ("session", "i8")])
_CARRY: Final = np.dtype([("value", "f8"), ("last", "f8"), ("session", "i8")])
_BANDS: Final = np.dtype([("lower", "f8"), ("upper", "f8"), ("close", "f8"), ("is_up", "f8")])
_NO_SESSION: Final = -(2**63)


class SlotMemory:
    """A record, or several numbers, for each slot.

    Parameters
    ----------
    first
        What is remembered of a slot at first.
    """

    def __init__(self, first: npt.NDArray[Any]) -> None:
        self._first = first
        self.array = first[:0]

    def address(self, slots: int) -> int:
        """Return where it is, with room for a number of slots."""
        if len(self.array) < slots:
            room = max(slots, 2 * len(self.array))
            new = np.repeat(self._first, room - len(self.array), axis=0)
            self.array = np.concatenate([self.array, new])
        return native.address(self.array)

    def copy(self) -> SlotMemory:
        """Return one that knows the same."""
        other = SlotMemory(self._first)
        other.array = self.array.copy()
        return other


class BarScan:
    """Reads bars in order and remembers, for each instrument, what an indicator needs of them.

    Examples
    --------
    >>> scan = BarScan()
    >>> scan.begin(np.array([1, 2, 1], "u4")).before(np.array([5.0, 7.0, 6.0]))
    array([nan, nan,  5.])
    >>> scan.begin(np.array([1], "u4")).before(np.array([8.0]))
    array([6.])
    """

    def __init__(self) -> None:
        self._index = TokenIndex()
        self._memories: list[SlotMemory] = []
        self._calls = 0
        self._slots = np.empty(0, np.int32)

    def begin(self, tokens: npt.NDArray[np.uint32]) -> Self:
        """Take the next rows, of these instruments; calls are counted from the first again."""
        self._slots = self._index.slots(tokens)
        self._calls = 0
        return self

    def copy(self) -> BarScan:
        """Return an independent scan that continues from here."""
        other = BarScan()
        other._index = self._index  # it only grows
        other._memories = [memory.copy() for memory in self._memories]
        return other

    def before(self, values: Floats) -> Floats:
        """Return the value of the instrument's row before; NaN in its first row."""
        return self._run(native.scan_before, _numbers(np.nan), values)

    def filled(self, values: Floats) -> Floats:
        """Return the latest value that is not NaN."""
        return self._run(native.scan_fill, _numbers(np.nan), values)

    def smooth(
        self, values: Floats, seed: int, weight: float, *, divisor: int | None = None, skip: int = 0
    ) -> Floats:
        """Smooth exponentially, beginning with the mean of the first values.

        Parameters
        ----------
        values
            Rows with NaN are left out, and are NaN.
        seed
            How many values the first result is of.
        weight
            What part of the way to a new value the result moves.
        divisor
            What the sum of the first values is divided by; `seed` by default.
        skip
            How many values before the first ones are ignored.
        """
        parameters = (skip, seed, float(seed if divisor is None else divisor), weight)
        return self._run(native.scan_smooth, np.zeros(1, _SMOOTH), values, parameters=parameters)

    def window(self, values: Floats, size: int, kind: str) -> Floats:
        """Return the ``"mean"``, ``"weighted"`` mean (with weights 1, 2, …), standard
        ``"deviation"`` (of a population), ``"highest"`` or ``"lowest"`` of the last values.

        NaN until there are as many as `size`.
        """  # noqa: D205
        counts = self._memory(np.zeros(1, np.int64))
        parameters = (counts, size, _WINDOWS.index(kind))
        return self._run(native.scan_window, _numbers(0, size), values, parameters=parameters)

    def since(self, values: Floats, sessions: Sessions, kind: str) -> Floats:
        """Return the ``"sum"``, ``"maximum"``, ``"minimum"`` or ``"first"`` of the session so far.

        NaN values are left out.
        """
        first = np.array([(np.nan, _NO_SESSION)], _SINCE_STATE)
        parameters = (_SINCE.index(kind),)
        return self._run(native.scan_since, first, values, sessions, parameters=parameters)

    def carried(self, values: Floats, sessions: Sessions) -> Floats:
        """Return the last value of the session before; NaN in the first."""
        first = np.array([(np.nan, np.nan, _NO_SESSION)], _CARRY)
        return self._run(native.scan_carry, first, values, sessions)

    def supertrend(self, middle: Floats, close: Floats, distance: Floats) -> tuple[Floats, Floats]:
        """Return the line and the direction (1 or -1) of bands around the middle of bars."""
        memory = self._memory(np.array([(np.nan, np.nan, np.nan, 0)], _BANDS))
        line, direction = np.empty_like(middle), np.empty_like(middle)
        arrays = [np.ascontiguousarray(array) for array in (middle, close, distance)]
        self._call(native.scan_supertrend, memory, arrays, (), (line, direction))
        return line, direction

    def _run(
        self,
        loop: Callable[..., None],
        first: npt.NDArray[Any],
        *arrays: npt.NDArray[Any],
        parameters: tuple[Any, ...] = (),
    ) -> Floats:
        """Run a loop over the rows, with a memory that begins as `first` in each slot."""
        memory = self._memory(first)
        out = np.empty(len(self._slots))
        self._call(loop, memory, [np.ascontiguousarray(one) for one in arrays], parameters, (out,))
        return out

    def _call(
        self,
        loop: Callable[..., None],
        memory: int,
        arrays: list[npt.NDArray[Any]],
        parameters: tuple[Any, ...],
        outputs: tuple[Floats, ...],
    ) -> None:
        slots = self._slots
        if any(len(array) != len(slots) for array in arrays):
            raise IndexError("there is not one value for each row")
        places = [native.address(array) for array in arrays]
        results = [native.address(array) for array in outputs]
        loop(native.address(slots), len(slots), *places, memory, *parameters, *results)

    def _memory(self, first: npt.NDArray[Any]) -> int:
        """Return the address of the memory of this call, which is new at the first pass."""
        if self._calls == len(self._memories):
            self._memories.append(SlotMemory(first))
        memory = self._memories[self._calls]
        self._calls += 1
        return memory.address(len(self._index))


def _numbers(value: float, size: int = 1) -> npt.NDArray[np.float64]:
    return np.full((1, size), value, _NUMBER)
