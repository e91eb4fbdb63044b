"""Instrument token → slot, for whole arrays of tokens. Written by the loop thread alone.

A slot is the dense number of an instrument in the order in which instruments
were first seen. What is known about each instrument (its symbol, its last row)
is then an array indexed by slot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_MULTIPLIER: Final = np.uint32(2_654_435_769)  # 2³² divided by the golden ratio
_EMPTY: Final = np.uint64(2**64 - 1)  # read as a slot: -1
_SPARSENESS: Final = 4  # places an instrument at least: most look-ups hit at the first
_SLOT_BITS: Final = np.uint64(32)
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
        """Return the number of instruments seen."""
        return self._count

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """The instrument tokens by slot. The array is never written again."""
        tokens = self._tokens[: self._count]
        tokens.flags.writeable = False
        return tokens

    def slots(self, tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Return the slot of each token; tokens not seen before get the next slots.

        Parameters
        ----------
        tokens
            Instrument tokens, shape ``(n,)``.
        """
        found = self._find(tokens)
        missing = found == -1
        if missing.any():
            self._add(tokens[missing])
            found = self._find(tokens)
        return found

    def _find(self, tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Return the slot of each token, or -1."""
        places = ((tokens * _MULTIPLIER) >> self._shift).astype(np.intp)  # as indexing wants it
        entries = self._entries[places]
        wrong = ((entries >> _SLOT_BITS) != tokens) & (entries != _EMPTY)
        if wrong.any():
            self._probe(tokens, places, entries, np.flatnonzero(wrong))
        return entries.astype(np.int32)  # the lower half is the slot

    def _probe(
        self,
        tokens: npt.NDArray[np.uint32],
        places: npt.NDArray[np.intp],
        entries: npt.NDArray[np.uint64],
        pending: npt.NDArray[np.int64],
    ) -> None:
        """Look at the following places for those whose place holds another token."""
        there, wanted = places[pending], tokens[pending]
        while len(pending):
            there = (there + 1) & self._mask
            found = self._entries[there]
            entries[pending] = found
            wrong = ((found >> _SLOT_BITS) != wanted) & (found != _EMPTY)
            pending, there, wanted = pending[wrong], there[wrong], wanted[wrong]

    def _add(self, tokens: npt.NDArray[np.uint32]) -> None:
        """Give new tokens the next slots, in the order of their first appearance."""
        unique, first = np.unique(tokens, return_index=True)
        new = unique[np.argsort(first)]
        total = self._count + len(new)
        if total > len(self._tokens):
            grown = np.zeros(max(total, 2 * len(self._tokens)), np.uint32)
            grown[: self._count] = self._tokens[: self._count]
            self._tokens = grown
        self._tokens[self._count : total] = new
        start, self._count = self._count, total
        if total * _SPARSENESS > len(self._entries):
            self._resize(total * _SPARSENESS * 2)
            start = 0
        self._insert(start)

    def _resize(self, places: int) -> None:
        bits = max(places - 1, 1).bit_length()
        self._shift = np.uint32(32 - bits)
        self._mask = 2**bits - 1
        self._entries = np.full(2**bits, _EMPTY, np.uint64)  # token and slot in one word

    def _insert(self, start: int) -> None:
        """Enter the tokens of slots `start` on into the table."""
        for slot in range(start, self._count):
            token = self._tokens[slot]
            place = int(token) * int(_MULTIPLIER) % 2**32 >> int(self._shift)
            while self._entries[place] != _EMPTY:
                place = (place + 1) & self._mask
            self._entries[place] = int(token) << int(_SLOT_BITS) | slot
