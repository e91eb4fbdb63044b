"""Names ↔ tokens, and the names that are similar to a misspelt one. Immutable; any thread."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError, UnknownInstrument

Instrument: TypeAlias = int | str | np.integer[Any]
"""An instrument token, or a name such as ``"NSE:INFY"``."""

SomeInstruments: TypeAlias = (
    Instrument | Iterable[Instrument] | pl.Series | pl.DataFrame | npt.NDArray[Any]
)
"""One or several instruments, a column of them, or a frame with such a column."""

MAX_TOKEN: Final = 2**32 - 1
"""Tokens are 32-bit on the wire."""

_SUGGESTIONS: Final = 5
_COLLECTIONS: Final = (Iterable, pl.Series, pl.DataFrame, np.ndarray)
_TOKEN_COLUMNS: Final = ("instrument_token", "symbol")
_PAIRS: Final = ("call_token", "put_token")

_COMPARED: Final = 32  # letters of a word that are compared
_HASHES: Final = ((7, 11), (29, 3))  # multipliers of each mask: pairs rarely collide in both
_SHORT_LIST: Final = 200


class Names:
    """The names and tokens of a dump.

    Parameters
    ----------
    frame
        The dump's columns, one row a token.
    aliases
        Rows with further names of those tokens.
    """

    def __init__(self, frame: pl.DataFrame, aliases: pl.DataFrame | None = None) -> None:
        self._frame = frame
        self._aliases = frame.clear() if aliases is None else aliases

    def resolve(self, instrument: Instrument) -> int:
        """Return the token of a name; a token is validated and returned."""
        if not isinstance(instrument, str):
            return _valid_token(instrument)
        token = self.find(instrument)
        if token is None:
            raise self._unknown(instrument)
        return token

    def resolve_all(self, instruments: SomeInstruments) -> list[int]:
        """Return the tokens of one or several instruments, in the given order."""
        if isinstance(instruments, str) or not isinstance(instruments, _COLLECTIONS):
            return [self.resolve(instruments)]
        return [self.resolve(instrument) for instrument in _plain(instruments)]

    def find(self, name: str) -> int | None:
        """Return the token of a name, or None if it is unknown."""
        known = self._token_by_key
        for key in (name, name.upper()):  # cheap, and nearly always enough
            if key in known:
                return known[key]
        return known.get(_key(name))

    def rows(self, instrument_tokens: Iterable[int] | npt.NDArray[Any] | pl.Series) -> pl.Series:
        """Return the row of each token, null for tokens that are not in the dump."""
        wanted = pl.Series("instrument_token", instrument_tokens).cast(pl.Int64)
        sorted_tokens, rows = self._by_token
        if not len(rows):
            return pl.Series([None] * len(wanted), dtype=pl.UInt32)
        tokens = wanted.fill_null(0).to_numpy()
        places = np.minimum(np.searchsorted(sorted_tokens, tokens), len(rows) - 1)
        found = pl.Series(sorted_tokens[places] == tokens)
        return pl.select(pl.when(found).then(pl.Series(rows[places]))).to_series()

    @cached_property
    def _by_token(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        tokens = self._frame["instrument_token"].to_numpy().astype(np.int64)
        rows = np.argsort(tokens, kind="stable").astype(np.uint32)
        return tokens[rows], rows

    @cached_property
    def _token_by_key(self) -> dict[str, int]:
        names = ("exchange", "tradingsymbol", "instrument_token")
        rows = pl.concat([self._aliases.select(names), self._frame.select(names)])
        keys = rows.select(
            pl.concat_str(
                "exchange",
                pl.col("tradingsymbol").str.replace_all(r"\s+", " ").str.strip_chars(),
                separator=":",
            ).str.to_uppercase()
        ).to_series()
        return dict(zip(keys.to_list(), rows["instrument_token"].to_list(), strict=True))

    @cached_property
    def _spelling(self) -> SpellingIndex:
        return SpellingIndex(list(self._token_by_key))

    def _unknown(self, name: str) -> UnknownInstrument:
        hint = _hint(name, known=self._frame.height)
        return UnknownInstrument(
            name, () if name.strip().isdigit() else self._suggestions(name), hint=hint
        )

    def _suggestions(self, name: str) -> list[str]:
        exchange, _, symbol = _key(name).rpartition(":")
        tail = f":{symbol}"
        elsewhere = [key for key in self._token_by_key if key.endswith(tail)]
        close = self._spelling.close(f"{exchange or 'NSE'}:{symbol}", _SUGGESTIONS)
        return list(dict.fromkeys(elsewhere + close))[:_SUGGESTIONS]


def _key(name: str) -> str:
    exchange, colon, symbol = name.partition(":")
    return f"{exchange.strip()}{colon}{' '.join(symbol.split())}".upper()


def _hint(name: str, *, known: int) -> str:
    if not known:
        return "No instruments are known: pass instruments=Instruments.fetch(), or use tokens."
    if name.strip().isdigit():
        return f"Pass a token as a number, not as text: {name.strip()}"
    if ":" not in name:
        return "A name begins with its exchange, as in 'NSE:INFY'."
    return ""


def _valid_token(value: object) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ConfigError("instrument", value, "a name such as 'NSE:INFY' or an integer token")
    token = operator.index(value)
    if not 0 < token <= MAX_TOKEN:
        raise ConfigError("instrument", token, f"a token from 1 to {MAX_TOKEN}")
    return token


def _plain(instruments: Any) -> Iterable[Any]:
    if isinstance(instruments, pl.DataFrame):
        instruments = _column(instruments)
    if isinstance(instruments, np.ndarray):
        instruments = pl.Series(instruments.ravel())
    plain: Iterable[Any] = (
        instruments.to_list() if isinstance(instruments, pl.Series) else instruments
    )
    return plain


def _column(frame: pl.DataFrame) -> pl.Series:
    for name in _TOKEN_COLUMNS:
        if name in frame.columns:
            return frame[name]
    if set(_PAIRS) <= set(frame.columns):  # an option chain, in which a side may be missing
        return pl.concat([frame[name] for name in _PAIRS]).drop_nulls()
    raise ConfigError("instruments", frame.columns, message="the frame has no instrument_token")


class SpellingIndex:
    """Correct words, among which those similar to a misspelt word can be found.

    A word is the set of its letter pairs, hashed into two 64-bit masks. Counting common bits over
    all words at once leaves a short list, and only its words are compared letter by letter.

    Parameters
    ----------
    words
        The correct words. The comparison is case-sensitive.

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
        """Return the most similar words, best first.

        Parameters
        ----------
        word
            A word that may be misspelt.
        count
            The maximum number of words.
        cutoff
            The minimum similarity, from 0 to 1: twice the common letters over all letters.
        """
        matcher = SequenceMatcher(None, b=word, autojunk=False)
        scored = []
        for row in self._short_list(word):
            matcher.set_seq1(self._words[row])
            # The quick ratio is an upper bound, and avoids most full comparisons.
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
    encoded = [word.encode("ascii", "replace")[:_COMPARED] for word in words]
    letters = np.array(encoded, f"S{_COMPARED}").view(np.uint8).reshape(len(words), _COMPARED)
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
