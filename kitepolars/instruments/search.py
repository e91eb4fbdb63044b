"""The search for instruments: words, days, strikes and misspellings, ranked. Any thread.

Each row has one lower-case text, prepared once and already in the order in which equal matches are
shown. A search looks for the longest word in all texts, and for the others in what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
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

_MONTH_NAMES: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS: Final = {
    name: number for number, month in enumerate(_MONTH_NAMES, 1) for name in (month, month[:3])
}
_DAY: Final = re.compile(rf"(\d{{1,2}})({'|'.join(sorted(_MONTHS, key=len, reverse=True))})(\d*)")
_SAME: Final = {"call": "ce", "calls": "ce", "put": "pe", "puts": "pe", "future": "fut"} | {
    "futures": "fut"
}
"""Words that people type → the dump's."""

_EXACT: Final = 1_000  # the whole symbol
_STRIKE: Final = 2  # the beginning of the strike
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
        self._expiries = ordered["expiry"].to_physical().fill_null(-1).to_numpy()
        self._names = frame.select("tradingsymbol", "name", "expiry")
        self._exchanges = {name.lower() for name in frame["exchange"].unique().to_list()}

    def search(self, query: str, limit: int) -> npt.NDArray[np.uint32]:
        """Return the rows of the frame that match a query, best first.

        Parameters
        ----------
        query
            Words in any order and case; every one must match. A day and a month (``1 dec``,
            ``1dec``, ``dec 1``, with a year or without) mean the expiry on exactly that day, where
            something expires then.
        limit
            How many at most.

        Raises
        ------
        ConfigError
            If the limit is below 1.
        """
        if limit < 1:
            raise ConfigError("limit", limit, "at least 1")
        words, days = self._read(query.lower().replace(":", " ").split())
        places = np.arange(len(self._text))
        text = self._text
        if days is not None:
            places = np.flatnonzero(np.isin(self._expiries, days))
            text = text.gather(places)
        terms = [[word] if occurs else self._close(word) for word, occurs in words.items()]
        places, text = self._matching(places, text, terms)
        joined = _squeezed(word for word in words if word not in self._exchanges)
        best = _ranked(text, terms, joined, limit)
        found: npt.NDArray[np.uint32] = self._rows[places[best]]
        return found

    def _read(self, typed: Sequence[str]) -> tuple[dict[str, bool], npt.NDArray[np.int64] | None]:
        """Return a query's words and whether each occurs, and the expiries it names, if any."""
        words: dict[str, bool] = {}
        named: npt.NDArray[np.int64] | None = None
        left = list(typed)
        while left:
            for count in (3, 2, 1):  # "1 dec 2026", "1 dec", "1dec"
                days = self._days(left[:count]) if len(left) >= count else None
                if days is not None:
                    named = days
                    del left[:count]
                    break
            else:
                words |= self._parts(_SAME.get(left[0], left[0]))
                del left[0]
        return words, named

    def _days(self, words: Sequence[str]) -> npt.NDArray[np.int64] | None:
        """Return the expiries on a day, month and, if said, year; None if there are none."""
        if len(words) > 1 and words[0] in _MONTHS:
            words = [words[1], words[0], *words[2:]]  # "dec 1"
        match = _DAY.fullmatch("".join(words))
        if match is None or not all(word.isalnum() for word in words):
            return None
        day, month, year = int(match[1]), _MONTHS[match[2]], match[3]
        if len(year) not in (0, 2, 4):
            return None
        found = [
            epoch
            for epoch, expiry in self._calendar.items()
            if (expiry.day, expiry.month) == (day, month) and f"{expiry.year}".endswith(year)
        ]
        return np.array(found, np.int64) if found else None

    def _parts(self, word: str) -> dict[str, bool]:
        """Return a word, or its letters and numbers where only they occur, and whether they do."""
        if word in self._everything:
            return {word: True}
        parts = re.findall(r"[a-z&-]+|[0-9.]+", word)
        if len(parts) > 1 and all(part in self._everything for part in parts):
            return dict.fromkeys(parts, True)
        return {word: False}

    @cached_property
    def _calendar(self) -> dict[int, date]:
        days = pl.Series(np.unique(self._expiries[self._expiries >= 0])).cast(pl.Int32)
        return dict(zip(days.to_list(), days.cast(pl.Date).to_list(), strict=True))

    @staticmethod
    def _matching(
        places: npt.NDArray[np.intp], text: pl.Series, terms: Sequence[Sequence[str]]
    ) -> tuple[npt.NDArray[np.intp], pl.Series]:
        """Return where every term has one of its words, and the texts there."""
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
    """Return what equal matches are sorted by: shares before contracts, strikes from the money."""
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
        _from_the_money(),
        pl.col("strike"),
        pl.col("tradingsymbol"),
    ]


def _from_the_money() -> pl.Expr:
    """Return how far a strike is from the future of its expiry, or from the middle strike.

    Strikes are listed on both sides of the money, so their middle is near it where the dump has no
    prices.
    """
    price = pl.when(pl.col("last_price") > 0).then("last_price")
    is_option = pl.col("instrument_type").cast(pl.String).is_in(OPTION_TYPES)
    future = price.filter(~is_option).first()
    middle = pl.col("strike").filter(is_option).median()
    money = pl.coalesce(future, middle).over("exchange", "name", "expiry")
    return pl.when(is_option & pl.col("expiry").is_not_null()).then(
        (pl.col("strike") - money).abs()
    )


def _text() -> pl.Expr:
    """Return what of a row can be searched, as " word word … " in lower case, symbol first.

    The strike has a mark of its own: ``=24000``.
    """
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
            pl.lit("=")
            + pl.when(whole)
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
    points = [_points(column, term) for term in terms]
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


def _points(column: pl.Expr, term: Sequence[str]) -> pl.Expr:
    """Return the points of a word; a number counts most where the strike begins with it."""

    def has(shape: str) -> pl.Expr:
        return column.str.contains_any([shape.format(word) for word in term])

    def points(start: str, whole: str) -> pl.Expr:
        return _START * has(start).cast(pl.Int32) + (_WHOLE - _START) * has(whole).cast(pl.Int32)

    plain = points(" {}", " {} ")
    if not all(map(_is_number, term)):
        return plain
    return pl.when(has(" ={}")).then(_STRIKE + points(" ={}", " ={} ")).otherwise(plain)


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def _squeezed(words: Iterable[str]) -> str:
    return re.sub("[^a-z0-9]", "", "".join(words))
