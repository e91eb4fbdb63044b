"""Owns the search for instruments: words, prefixes and misspellings, ranked; on any thread.

What can be asked for is one lower-case text a row, prepared once and already in
the order in which equal matches are shown. A search scans these texts for the
rarest-looking word first and looks for the others in what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.instruments.spelling import SpellingIndex

EXCHANGES: Final = ("NSE", "BSE", "NFO", "BFO", "MCX", "CDS", "BCD", "NCO")
"""The order in which exchanges are preferred; others come after them, by name."""

OPTION_TYPES: Final = ("CE", "PE")
"""Call and put, as the dump's ``instrument_type`` says it."""

_EXACT: Final = 1_000  # the whole symbol
_PREFIX: Final = 3  # the beginning of the symbol
_WHOLE: Final = 2  # a whole word
_START: Final = 1  # the beginning of a word
_CLOSE_WORDS: Final = 2
_CUTOFF: Final = 0.7


class Haystack:
    """The texts that searches go through.

    Parameters
    ----------
    frame
        The dump's columns.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        ordered = frame.with_row_index("row").sort(*_order(), nulls_last=False)
        self._rows = ordered["row"].to_numpy()
        self._text = ordered.select(_text()).to_series()
        self._everything = "".join(self._text)
        self._names = frame.select("tradingsymbol", "name", "expiry")
        self._exchanges = {name.lower() for name in frame["exchange"].unique().to_list()}

    def search(self, query: str, limit: int) -> npt.NDArray[np.uint32]:
        """Return the rows of the frame that match a query, best first.

        Parameters
        ----------
        query
            Words in any order and case; every one must match.
        limit
            How many at most.

        Raises
        ------
        ConfigError
            If the limit is below 1.
        """
        if limit < 1:
            raise ConfigError("limit", limit, "at least 1")
        words = query.lower().replace(":", " ").split()
        terms = [[word] if word in self._everything else self._close(word) for word in words]
        places, text = self._matching(terms)
        joined = _squeezed(word for word in words if word not in self._exchanges)
        best = _ranked(text, terms, joined, limit)
        found: npt.NDArray[np.uint32] = self._rows[places[best]]
        return found

    def _matching(self, terms: Sequence[Sequence[str]]) -> tuple[npt.NDArray[np.intp], pl.Series]:
        """Return where every term has one of its words, and the texts there."""
        places, text = np.arange(len(self._text)), self._text
        for term in sorted(terms, key=lambda words: -max(map(len, words), default=0)):
            found = text.str.contains_any(list(term))
            places, text = places[found.to_numpy()], text.filter(found)
        return places, text

    def _close(self, word: str) -> list[str]:
        return self._spelling.close(word, _CLOSE_WORDS, cutoff=_CUTOFF) or [word]

    @cached_property
    def _spelling(self) -> SpellingIndex:
        # Contracts' symbols are left out: their names are in, and numbers have no spelling.
        listed = self._names.filter(pl.col("expiry").is_null())
        words = pl.concat(
            [listed["tradingsymbol"], self._names["name"].drop_nulls()]
        ).str.to_lowercase()
        return SpellingIndex(words.str.split(" ").explode().unique().sort().to_list())


def _order() -> list[pl.Expr]:
    """Return what equal matches are sorted by: indices and shares before contracts."""
    kind = (
        pl.when(pl.col("segment").cast(pl.String) == "INDICES")
        .then(0)
        .when(pl.col("expiry").is_null())
        .then(1)
        .when(pl.col("instrument_type").cast(pl.String).is_in(OPTION_TYPES))
        .then(3)
        .otherwise(2)
    )
    exchange = pl.col("exchange").cast(pl.String)
    preference = exchange.replace_strict(
        {name: place for place, name in enumerate(EXCHANGES)}, default=len(EXCHANGES)
    )
    length = pl.when(pl.col("expiry").is_null()).then(pl.col("tradingsymbol").str.len_chars())
    return [
        kind,
        preference,
        exchange,
        pl.col("expiry"),
        length,
        pl.col("name"),
        pl.col("strike"),
        pl.col("tradingsymbol"),
    ]


def _text() -> pl.Expr:
    """Return what of a row can be searched, as " word word … " in lower case, symbol first."""
    symbol = pl.col("tradingsymbol").str.to_lowercase()
    squeezed = symbol.str.replace_all("[^a-z0-9]", "")
    strike = pl.col("strike")
    whole = strike == strike.floor()
    return pl.concat_str(
        pl.lit(""),
        squeezed,
        pl.when(symbol != squeezed).then(symbol),
        pl.col("name").str.to_lowercase(),
        pl.when(strike > 0).then(
            pl.when(whole)
            .then(strike.cast(pl.Int64).cast(pl.String))
            .otherwise(strike.cast(pl.String))
        ),
        pl.col("instrument_type").cast(pl.String).str.to_lowercase(),
        pl.col("expiry").dt.strftime("%d%b%y %b%y").str.to_lowercase(),
        pl.col("exchange").cast(pl.String).str.to_lowercase(),
        pl.lit(""),
        separator=" ",
        ignore_nulls=True,
    )


def _ranked(
    text: pl.Series, terms: Sequence[Sequence[str]], joined: str, limit: int
) -> npt.NDArray[np.intp]:
    """Return the places of the best texts; equal ones stay in their order."""
    column = pl.lit(text)
    points = [
        weight * column.str.contains_any([shape.format(word) for word in term]).cast(pl.Int32)
        for term in terms
        for weight, shape in ((_START, " {}"), (_WHOLE - _START, " {} "))
    ]
    if joined:
        points += [
            _PREFIX * column.str.starts_with(f" {joined}").cast(pl.Int32),
            _EXACT * column.str.starts_with(f" {joined} ").cast(pl.Int32),
        ]
    if not points:
        return np.arange(min(limit, len(text)))
    scores = pl.select(pl.sum_horizontal(points)).to_series().to_numpy().astype(np.int64)
    keys = np.arange(len(scores)) - scores * (len(scores) + 1)
    best = np.argpartition(keys, limit)[:limit] if len(keys) > limit else np.arange(len(keys))
    ranked: npt.NDArray[np.intp] = best[np.argsort(keys[best])]
    return ranked


def _squeezed(words: Iterable[str]) -> str:
    return re.sub("[^a-z0-9]", "", "".join(words))
