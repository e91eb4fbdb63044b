"""Bits that grow, as Arrow keeps nulls and Booleans. Written by one thread, read by any."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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
