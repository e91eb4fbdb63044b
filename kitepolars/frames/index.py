"""Instrument token → slot, for whole arrays of tokens. Written by the loop thread only.

Slots number the instruments in the order in which they were first seen, so that data about each
instrument (its symbol, its last row) can be kept in arrays indexed by slot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from kitepolars import native
from kitepolars.wire.decode import Target, decode
from kitepolars.wire.scan import Packets

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

    @property
    def table(self) -> tuple[native.Pinned, int]:
        """The entries and the shift of the hash, for compiled loops; new ones when it grows."""
        return self._entries, self._shift

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


def is_among(tokens: npt.NDArray[np.uint32], some: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Return which of many tokens are among some: `numpy.isin` takes ten times as long.

    Examples
    --------
    >>> is_among(np.array([5, 7, 9], "u4"), np.array([9, 5], "u4"))
    array([ True, False,  True])
    """
    if not len(some):
        return np.zeros(len(tokens), np.bool_)
    ordered = np.sort(some)
    places = np.searchsorted(ordered, tokens)
    found: npt.NDArray[np.bool_] = ordered[np.minimum(places, len(ordered) - 1)] == tokens
    return found


class InstrumentFilter:
    """Selects packets by instrument before they are decoded: their tokens are read and no more.

    Parameters
    ----------
    wants
        Called once with each instrument token that occurs, many at a time, shape ``(n,)``; returns
        whether its packets are wanted, as an array of the same shape.

    Examples
    --------
    >>> from kitepolars.wire.scan import Scanner
    >>> messages = bytes.fromhex("0002 0008 00063a01 00026683 0008 000d8001 0000fde8")
    >>> packets = Scanner().scan([messages])
    >>> chosen = InstrumentFilter.of([884737]).select(packets)
    >>> len(packets), len(chosen), chosen.counts
    (2, 1, array([1]))
    """

    def __init__(self, wants: Callable[[npt.NDArray[np.uint32]], npt.NDArray[np.bool_]]) -> None:
        self._wants = wants
        self._index = TokenIndex()
        self._is_wanted = np.zeros(0, np.bool_)  # by slot

    @classmethod
    def of(cls, instrument_tokens: Collection[int]) -> InstrumentFilter:
        """Return the selection of some instruments."""
        wanted = np.fromiter(instrument_tokens, np.uint32, len(instrument_tokens))
        return cls(lambda tokens: np.isin(tokens, wanted))

    def select(self, packets: Packets) -> Packets:
        """Return the packets that are wanted. The arrays of `packets` are used for that."""
        tokens = np.empty(len(packets), np.uint32)
        decode(packets, 0, len(packets), Target({"instrument_token": tokens}), 0)
        slots = self._index.slots(tokens)
        if len(self._index) > len(self._is_wanted):
            new = self._wants(self._index.tokens[len(self._is_wanted) :])
            self._is_wanted = np.concatenate([self._is_wanted, new])
        counts = packets.counts.copy()
        kept = native.pick(
            native.address(packets.addresses),
            native.address(packets.codes),
            native.address(counts),
            len(counts),
            native.address(slots),
            native.address(self._is_wanted),
        )
        return replace(
            packets, addresses=packets.addresses[:kept], codes=packets.codes[:kept], counts=counts
        )
