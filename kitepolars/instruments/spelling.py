"""Owns fuzzy matching: which of a hundred thousand words are close to one; on the caller's thread.

A word is the set of its letter pairs, hashed into two 64-bit masks. Counting
common bits over all words at once leaves a short list, and only that is
compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

_WIDTH: Final = 32  # letters of a word that count
_HASHES: Final = ((7, 11), (29, 3))  # multipliers of each mask: pairs rarely collide in both
_SHORT_LIST: Final = 200


class SpellingIndex:
    """Words that can be asked for the ones close to a misspelt one.

    Parameters
    ----------
    words
        What is right. Compared as they are: bring both sides into one case first.

    Examples
    --------
    >>> SpellingIndex(["RELIANCE", "INFY", "INFRATEL"]).close("RELAINCE")
    ['RELIANCE']
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._masks = _masks(words)
        self._pairs = _bits(self._masks)

    def close(self, word: str, count: int = 5, *, cutoff: float = 0.6) -> list[str]:
        """Return the closest words, best first.

        Parameters
        ----------
        word
            The one that may be misspelt.
        count
            How many at most.
        cutoff
            The least similarity, from 0 to 1 (twice the common letters over all letters).
        """
        matcher = SequenceMatcher(None, b=word, autojunk=False)
        scored = []
        for row in self._short_list(word):
            matcher.set_seq1(self._words[row])
            # The quick ratio is an upper bound, and spares most of the full comparisons.
            if matcher.quick_ratio() >= cutoff and (alike := matcher.ratio()) >= cutoff:
                scored.append((-alike, row))
        return [self._words[row] for _, row in sorted(scored)[:count]]

    def _short_list(self, word: str) -> list[int]:
        mask = _masks([word])
        common = _bits([ours & theirs for ours, theirs in zip(self._masks, mask, strict=True)])
        alike = 2.0 * common / np.maximum(self._pairs + _bits(mask), 1)
        if len(alike) <= _SHORT_LIST:
            return list(range(len(alike)))
        rows: list[int] = np.argpartition(-alike, _SHORT_LIST)[:_SHORT_LIST].tolist()
        return rows


def _masks(words: Sequence[str]) -> list[npt.NDArray[np.uint64]]:
    encoded = [word.encode("ascii", "replace")[:_WIDTH] for word in words]
    letters = np.array(encoded, f"S{_WIDTH}").view(np.uint8).reshape(len(words), _WIDTH)
    return [_mask(letters, *multipliers) for multipliers in _HASHES]


def _mask(letters: npt.NDArray[np.uint8], one: int, two: int) -> npt.NDArray[np.uint64]:
    mask = np.zeros(len(letters), np.uint64)
    wide = letters.T.astype(np.uint64)
    for first, second in pairwise(wide):
        bit = (first * np.uint64(one) + second * np.uint64(two)) & np.uint64(63)
        mask |= (second != 0).astype(np.uint64) << bit
    return mask


def _bits(masks: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.int64]:
    both = np.zeros(masks[0].shape, np.int64)
    for mask in masks:
        both += np.bitwise_count(mask)
    return both
