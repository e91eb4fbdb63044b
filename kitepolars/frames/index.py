"""Instrument token → slot, for whole arrays of tokens. Written by the loop thread only.

Slots number the instruments in the order in which they were first seen, so that data about each
instrument (its symbol, its last row) can be kept in arrays indexed by slot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars import native

_EMPTY: Final = np.uint64(2**64 - 1)  # as in native.c
_SPARSENESS: Final = 2  # entries per instrument: most lookups then hit at the first entry
_SMALLEST: Final = 1_024


class TokenIndex:
    """An open-addressing hash table from instrument tokens to slots, on arrays.

    Examples
    --------
    >>> index = TokenIndex()
    >>> index.slots(np.array([408065, 884737, 408065], "u4"))
    array([0, 1, 0], dtype=int32)
    >>> index.tokens
    array([408065, 884737], dtype=uint32)
    """

    def __init__(self) -> None:
        self._tokens = np.zeros(_SMALLEST, np.uint32)
        self._count = 0
        self._resize(_SMALLEST)

    def __len__(self) -> int:
        """Return the number of instruments seen so far."""
        return self._count

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """The instrument tokens by slot. The array is never written again."""
        tokens = self._tokens[: self._count]
        tokens.flags.writeable = False
        return tokens

    def slots(
        self, tokens: npt.NDArray[np.uint32], out: npt.NDArray[np.int32] | None = None
    ) -> npt.NDArray[np.int32]:
        """Return the slot of each token; tokens not seen before get the next slots.

        Parameters
        ----------
        tokens
            Instrument tokens, shape ``(n,)``.
        out
            A contiguous array of the same shape for the result.
        """
        tokens = np.ascontiguousarray(tokens, np.uint32)
        slots = np.empty(len(tokens), np.int32) if out is None else out
        if self._find(tokens, slots):
            self._add(tokens[slots == -1])
            self._find(tokens, slots)
        return slots

    def _find(self, tokens: npt.NDArray[np.uint32], slots: npt.NDArray[np.int32]) -> int:
        """Write the slot of each token, or -1; return the number of -1."""
        missing: int = native.find(
            native.address(tokens), len(tokens), self._entries, self._shift, native.address(slots)
        )
        return missing

    def _add(self, tokens: npt.NDArray[np.uint32]) -> None:
        """Assign the next slots to new tokens, in the order of their first appearance."""
        unique, first = np.unique(tokens, return_index=True)
        new = unique[np.argsort(first)]
        total = self._count + len(new)
        if total > len(self._tokens):
            grown = np.zeros(max(total, 2 * len(self._tokens)), np.uint32)
            grown[: self._count] = self._tokens[: self._count]
            self._tokens = grown
        self._tokens[self._count : total] = new
        start, self._count = self._count, total
        if total * _SPARSENESS > len(self._entries.array):
            self._resize(total * _SPARSENESS)
            start = 0
        self._insert(start)

    def _resize(self, entries: int) -> None:
        bits = max(entries - 1, 1).bit_length()
        self._shift = 32 - bits
        # An entry is a token and its slot in one word.
        self._entries = native.Pinned(np.full(2**bits, _EMPTY, np.uint64))

    def _insert(self, start: int) -> None:
        """Insert the tokens from slot `start` on into the table."""
        new = native.address(self._tokens[start:])
        native.enter(new, self._count - start, start, self._entries, self._shift)
