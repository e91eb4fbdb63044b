"""The memory of columns: arrays in slabs that are reused, and bitmaps as Arrow has them.

Written by one thread, read by any.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.frames.arrow import numpy_dtype

_ALIGNMENT: Final = 64  # a cache line


class Slabs:
    """The memory of buffers, reused once no frame shares it. One thread.

    A bounded history then stays in memory that the process already has: in new memory, the first
    write to a page costs a page fault, and the system must fill the page with zeros.

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

    def __init__(self) -> None:
        self._leases: list[tuple[npt.NDArray[np.uint8], weakref.ref[npt.NDArray[np.uint8]]]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """Return memory with any content, and give back to the system what is free and not used.

        Parameters
        ----------
        size
            Bytes.
        """
        free: list[npt.NDArray[np.uint8]] = []
        leases = []
        for slab, lease in self._leases:
            if lease() is None:
                free.append(slab)
            else:
                leases.append((slab, lease))
        fitting = [slab for slab in free if len(slab) == size]
        slab = fitting[0] if fitting else np.zeros(size, np.uint8)
        # A view of a view refers to the array at the bottom. `frombuffer` puts a memoryview in
        # between: all views then refer to `leased`, which lives exactly as long as they do.
        leased = np.frombuffer(slab.data, np.uint8)
        self._leases = [*leases, (slab, weakref.ref(leased))]
        return leased


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
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in shapes.values()]
    starts = np.cumsum([0, *(-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)])
    slab = slabs.take(int(starts[-1]))
    return {
        name: slab[start : start + size].view(dtype).reshape(shape)
        for (name, (dtype, shape)), start, size in zip(shapes.items(), starts, sizes, strict=False)
    }


def _shape(name: str, dtype: pl.DataType, capacity: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if isinstance(dtype, pl.Array):
        return numpy_dtype(name, dtype.inner), (capacity, dtype.size)
    return numpy_dtype(name, dtype), (capacity,)
