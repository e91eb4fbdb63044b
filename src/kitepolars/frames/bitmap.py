"""Bits that grow, as Arrow keeps nulls and Booleans. Written by one thread, read by any."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_ALL_ONES: Final = 0xFF


class Bitmap:
    """Bits that grow, least significant bit first, as Arrow has them.

    Parameters
    ----------
    capacity
        How many bits there is room for. They begin as zeros.
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

    def at(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return the bits at some positions."""
        bits: npt.NDArray[np.bool_] = (
            self.bytes[rows >> 3] >> (rows & 7).astype(np.uint8) & 1
        ) != 0
        return bits

    def fill(self, start: int, stop: int, *, bit: bool) -> None:
        """Write one bit to all positions from `start` to before `stop`."""
        if not bit:
            self.has_zero = True  # the bits are zeros from the beginning
            return
        first, last = -(-start // 8), stop // 8
        if first >= last:
            self.write(start, np.ones(stop - start, np.bool_))
            return
        self.write(start, np.ones(8 * first - start, np.bool_))
        self.bytes[first:last] = _ALL_ONES
        self.write(8 * last, np.ones(stop - 8 * last, np.bool_))
