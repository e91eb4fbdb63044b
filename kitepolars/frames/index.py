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
        self._retired: set[int] = set()
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

    def renew(self, slots: npt.NDArray[np.int64]) -> None:
        """Give the tokens of some slots new slots, in the same order; the old ones are retired.

        For a token that the exchange has given to another instrument: what is known by the old slot
        stays that of the instrument before.

        Parameters
        ----------
        slots
            Slots that are not retired, sorted.
        """
        self._retired.update(slots.tolist())
        self._append(self._tokens[slots])
        self._resize(self._count * _SPARSENESS)
        self._insert(0)

    def is_retired(self) -> npt.NDArray[np.bool_]:
        """Return, by slot, whether its token has another slot by now."""
        retired = np.zeros(self._count, np.bool_)
        retired[list(self._retired)] = True
        return retired

    def _find(self, tokens: npt.NDArray[np.uint32], slots: npt.NDArray[np.int32]) -> int:
        """Write the slot of each token, or -1; return the number of -1."""
        missing: int = native.find(
            native.address(tokens), len(tokens), self._entries, self._shift, native.address(slots)
        )
        return missing

    def _add(self, tokens: npt.NDArray[np.uint32]) -> None:
        """Assign the next slots to new tokens, in the order of their first appearance."""
        unique, first = np.unique(tokens, return_index=True)
        start = self._count
        self._append(unique[np.argsort(first)])
        if self._count * _SPARSENESS > len(self._entries.array):
            self._resize(self._count * _SPARSENESS)
            start = 0  # the new table is empty
        self._insert(start)

    def _append(self, tokens: npt.NDArray[np.uint32]) -> None:
        total = self._count + len(tokens)
        if total > len(self._tokens):
            grown = np.zeros(max(total, 2 * len(self._tokens)), np.uint32)
            grown[: self._count] = self._tokens[: self._count]
            self._tokens = grown
        self._tokens[self._count : total] = tokens
        self._count = total

    def _resize(self, entries: int) -> None:
        bits = max(entries - 1, 1).bit_length()
        self._shift = 32 - bits
        # An entry is a token and its slot in one word.
        self._entries = native.Pinned(np.full(2**bits, _EMPTY, np.uint64))

    def _insert(self, start: int) -> None:
        """Enter the tokens of slots `start` on into the table, but for retired ones."""
        for stop in [*sorted(slot for slot in self._retired if slot >= start), self._count]:
            tokens = native.address(self._tokens[start:])
            native.enter(tokens, stop - start, start, self._entries, self._shift)
            start = stop + 1
