"""Search: words, expiries, strikes and misspellings, ranked. Any thread.

Each instrument has one lower-case text, prepared once and sorted in the order in which equal
matches are shown. A search looks for the longest word in all texts, then for the others in the
texts that are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.errors import ConfigError
from kitepolars.instruments.derivatives import UNDERLYING
from kitepolars.instruments.dump import EXCHANGES, OPTION_TYPES
from kitepolars.instruments.names import SpellingIndex

_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS: Final = r"(?P<day>\d{1,2})"
_MONTH: Final = r"(?P<month>[a-z]{3,9})"
_YEAR: Final = r"(?:[ -]?(?P<year>20\d\d|\d\d)(?!\S))?"
_DAY_FIRST: Final = re.compile(rf"(?<!\S){_DAYS}(?:st|nd|rd|th)?[ -]?{_MONTH}(?![a-z]){_YEAR}")
_MONTH_FIRST: Final = re.compile(rf"(?<!\S){_MONTH}[ -]?{_DAYS}(?:st|nd|rd|th)?(?!\S){_YEAR}")
_ISO: Final = re.compile(r"(?<!\S)(?P<year>20\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?!\S)")
_SYNONYMS: Final = {
    **dict.fromkeys(("call", "calls"), "ce"),
    **dict.fromkeys(("put", "puts"), "pe"),
    **dict.fromkeys(("future", "futures"), "fut"),
}
"""Words of traders → words of the dump."""

_EXACT: Final = 1_000  # points for the whole symbol
_STRIKE: Final = 2  # for the beginning of the strike
_PREFIX: Final = 3  # for the beginning of the symbol
_WHOLE: Final = 2  # for a whole word
_START: Final = 1  # for the beginning of a word
_CLOSE_WORDS: Final = 2
_CUTOFF: Final = 0.7
_LAST_DAY: Final = 31


class SearchIndex:
    """One text per instrument, prepared for searches.

    Parameters
    ----------
    frame
        The dump's columns.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        ordered = _with_names(frame).with_row_index("row").sort(*_order(), nulls_last=False)
        self._rows = ordered["row"].to_numpy()
        self._text = ordered.select(_text()).to_series()
        self._everything = "".join(self._text)
        self._expiries = ordered["expiry"]
        self._names = ordered.select("tradingsymbol", "name", "expiry")
        self._exchanges = {name.lower() for name in frame["exchange"].unique().to_list()}

    def search(self, query: str, limit: int) -> npt.NDArray[np.uint32]:
        """Return the rows of the frame that match a query, best first.

        Parameters
        ----------
        query
            Words in any order and case, which must all match. A day with a month is an expiry.
        limit
            The maximum number of rows.

        Raises
        ------
        ConfigError
            If the limit is below 1.
        """
        if limit < 1:
            raise ConfigError("limit", limit, "at least 1")
        found: npt.NDArray[np.uint32] = self._rows[:0]
        for expiries, rest in self._readings(" ".join(query.lower().replace(":", " ").split())):
            found = self._search(expiries, rest, limit)
            if len(found):
                break
        return found

    def _readings(self, query: str) -> Iterator[tuple[list[date] | None, str]]:
        """Yield what a query may mean, the likeliest first: expiries (None for any), other words.

        ``26 dec`` is a day, or else the year and month of a symbol, but never another day of
        December. The number of ``dec 24`` may also be the beginning of a strike.
        """
        for form in (_DAY_FIRST, _ISO, _MONTH_FIRST):
            for match in form.finditer(query):
                month, day = _month(match["month"]), int(match["day"])
                if not month or not 1 <= day <= _LAST_DAY:
                    continue
                before, after = query[: match.start()], query[match.end() :]
                days, is_year = self._days(day, month, match["year"])
                rest = f"{before} {'' if is_year else match['year'] or ''} {after}"
                yield days, rest
                tag = f"{day:02}{_MONTHS[month - 1][:3]}"
                if form is _DAY_FIRST and tag in self._everything:
                    yield None, f"{before} {tag} {rest[len(before) :]}"
                if form is not _MONTH_FIRST:
                    return
        yield None, query

    def _days(self, day: int, month: int, year: str | None) -> tuple[list[date], bool]:
        """Return the expiries on a day, and whether the year is one of theirs."""
        days = [each for each in self._calendar if (each.day, each.month) == (day, month)]
        of_year = [each for each in days if year and str(each.year).endswith(year)]
        return (of_year, True) if of_year else (days, False)

    def _search(
        self, expiries: list[date] | None, query: str, limit: int
    ) -> npt.NDArray[np.uint32]:
        places, text = np.arange(len(self._text)), self._text
        if expiries is not None:
            places = self._expiries.is_in(expiries).fill_null(value=False).arg_true().to_numpy()
            text = text.gather(places)
        words: dict[str, bool] = {}
        for word in query.split():
            words |= self._parts(_SYNONYMS.get(word, word))
        terms = [[word] if occurs else self._close(word) for word, occurs in words.items()]
        places, text = self._matching(places, text, terms)
        joined = _squeezed(word for word in words if word not in self._exchanges)
        best = _ranked(text, terms, joined, limit)
        found: npt.NDArray[np.uint32] = self._rows[places[best]]
        return found

    def _parts(self, word: str) -> dict[str, bool]:
        """Return a word, or its letters and numbers where only they occur, and whether they do."""
        if word in self._everything:
            return {word: True}
        parts = re.findall(r"[a-z&-]+|[0-9.]+", word)
        if len(parts) > 1 and all(part in self._everything for part in parts):
            return dict.fromkeys(parts, True)
        return {word: False}

    @cached_property
    def _calendar(self) -> list[date]:
        return self._expiries.drop_nulls().unique().sort().to_list()

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
        return SpellingIndex(
            words.str.split(" ").explode(empty_as_null=False).unique().sort().to_list()
        )


def _month(text: str) -> int:
    """Return the number of a month, ``dec``, ``decemb`` or ``12``; 0 for any other word."""
    if text.isdecimal():
        return int(text) if 1 <= int(text) <= len(_MONTHS) else 0
    return next((n for n, name in enumerate(_MONTHS, 1) if name.startswith(text)), 0)


def _with_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Give contracts whose name is empty that of their underlying."""
    is_nameless = pl.col("expiry").is_not_null() & pl.col("name").is_null()
    if not frame.select(is_nameless.any()).item():
        return frame
    return frame.with_columns(pl.when(is_nameless).then(UNDERLYING).otherwise("name").alias("name"))


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

    The strike has its own mark: ``=24000``.
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
