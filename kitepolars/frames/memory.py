"""The memory of columns: arrays in slabs that are reused, and bitmaps as Arrow has them.

Written by one thread, read by any. Another thread prepares new memory, also when filling it
has begun.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.frames.arrow import numpy_dtype

_ALIGNMENT: Final = 64  # a cache line

_PAGE_BYTES: Final = 4_096

PREPARED_FROM: Final = 4 * 2**20
"""Bytes from which on a thread prepares new memory: less is filled in a millisecond."""


class Slabs:
    """The memory of buffers, reused once no frame shares it. One thread.

    A bounded history then stays in memory that the process already has: in new memory, the first
    write to a page costs a page fault, and the system must fill the page with zeros. For a large
    buffer that takes a tenth of a second, so new memory can be prepared before it is needed.

    Parameters
    ----------
    spare
        How many free pieces of the size that was taken last are kept for later ones.

    Examples
    --------
    >>> slabs = Slabs()
    >>> first = slabs.take(64)
    >>> place = first.ctypes.data
    >>> slabs.take(64).ctypes.data == place
    False
    >>> del first
    >>> slabs.take(64).ctypes.data == place
    True
    """

    def __init__(self, spare: int = 0) -> None:
        self._spare = spare
        self._leases: list[tuple[npt.NDArray[np.uint8], weakref.ref[npt.NDArray[np.uint8]]]] = []
        self._prepared: npt.NDArray[np.uint8] | None = None

    def prepare(self, starts: Sequence[int]) -> None:
        """Have memory ready for the next `take` of this size; another thread writes to its pages.

        Parameters
        ----------
        starts
            Where areas begin that will be filled at the same pace, and where the last one ends.
        """
        size = starts[-1]
        is_prepared = self._prepared is not None and len(self._prepared) == size
        if size >= PREPARED_FROM and not is_prepared:
            with suppress(MemoryError, RuntimeError):  # no thread: then it is filled unprepared
                slab = self._prepared = np.zeros(size, np.uint8)
                Thread(
                    target=_populate, args=(slab, starts), name="kitepolars-memory", daemon=True
                ).start()

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return memory with any content, and give back to the system what is free and not used.

        Parameters
        ----------
        size
            Bytes.
        """
        fitting = [one for one in self._leases if one[1]() is None and len(one[0]) == size]
        leases = [one for one in self._leases if one[1]() is not None]
        free = [slab for slab, _ in fitting[:1]]
        prepared, self._prepared = self._prepared, None
        if not free and prepared is not None and len(prepared) == size:
            free = [prepared]
        slab = free[0] if free else np.zeros(size, np.uint8)
        # A view of a view refers to the array at the bottom. `frombuffer` puts a memoryview in
        # between: all views then refer to `leased`, which lives exactly as long as they do.
        leased = np.frombuffer(slab.data, np.uint8)
        spare = fitting[1 : 1 + self._spare]
        self._leases = [*leases, *spare, (slab, weakref.ref(leased))]
        return leased


def _populate(slab: npt.NDArray[np.uint8], starts: Sequence[int]) -> None:
    """Make the pages of new memory present, in the order in which its areas are filled."""
    places = np.array(starts, np.int64)
    native.populate(native.address(slab), native.address(places), len(starts) - 1, _PAGE_BYTES)


class Bitmap:
    """A fixed number of bits, least significant bit first, filled from the front.

    Parameters
    ----------
    capacity
        The number of bits. They start as zeros.
    """

    def __init__(self, capacity: int) -> None:
        self.bytes = np.zeros((capacity + 7) // 8, np.uint8)
        self.has_zero = False

    def write(self, start: int, bits: npt.NDArray[np.bool_]) -> None:
        """Write bits from position `start` on. The bits before it keep their values."""
        self.has_zero = self.has_zero or not bits.all()
        byte, lead = divmod(start, 8)
        if lead:
            before = np.unpackbits(self.bytes[byte : byte + 1], bitorder="little")[:lead]
            bits = np.concatenate([before.view(np.bool_), bits])
        packed = np.packbits(bits, bitorder="little")
        self.bytes[byte : byte + len(packed)] = packed

    def read(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return the bits from position `start` up to `stop`."""
        byte, lead = divmod(start, 8)
        some = self.bytes[byte : -(-stop // 8)]
        return np.unpackbits(some, bitorder="little")[lead : lead + stop - start].view(np.bool_)


def allocate(
    schema: Mapping[str, pl.DataType], capacity: int, slabs: Slabs
) -> dict[str, npt.NDArray[Any]]:
    """Allocate an array of `capacity` rows for each column, all in one piece of memory.

    The system provides memory when it is first written, and for one large piece it does so in
    pages of 2 MiB instead of 4 KiB, which takes a fifth of the time.

    Raises
    ------
    TypeError
        A dtype has no fixed width.
    """
    shapes = {name: _shape(name, dtype, capacity) for name, dtype in schema.items()}
    sizes, starts = _places(shapes)
    slab = slabs.take(starts[-1])
    return {
        name: slab[start : start + size].view(dtype).reshape(shape)
        for (name, (dtype, shape)), start, size in zip(shapes.items(), starts, sizes, strict=False)
    }


def prepare(schema: Mapping[str, pl.DataType], capacity: int, slabs: Slabs) -> None:
    """Prepare the memory of an `allocate` with the same arguments."""
    shapes = {name: _shape(name, dtype, capacity) for name, dtype in schema.items()}
    slabs.prepare(_places(shapes)[1])


_Shapes = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]


def _places(shapes: _Shapes) -> tuple[list[int], list[int]]:
    """Return the size of each array in bytes, and where each begins and the last one ends."""
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in shapes.values()]
    starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)])
    return sizes, starts.tolist()


def _shape(name: str, dtype: pl.DataType, capacity: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if isinstance(dtype, pl.Array):
        return numpy_dtype(name, dtype.inner), (capacity, dtype.size)
    return numpy_dtype(name, dtype), (capacity,)
