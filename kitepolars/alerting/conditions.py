"""What an alert may ask of a row: a condition, or a crossing. Pure; any thread."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.alerting.compiled import Value
from kitepolars.errors import ConfigError, check_choice

Direction = Literal["up", "down", "both"]
"""Which crossings count."""

UNKNOWN: Final = 2
"""The code of a condition that is neither true (1) nor false (0) at a row."""

_NUMBER_TYPE: Final = re.compile(r"dyn (?:int|float): ")
_COLUMN_NAME: Final = re.compile(r'col\("(\w+)"\)')
_TWO: Final = 2
_LAST_PRICE: Final = pl.col("last_price")
_COMPARISONS: Final = (operator.gt, operator.ge, operator.lt, operator.le)
_OF_ONE_ROW: Final = (
    "a condition on the row itself, because it is evaluated on new rows only: use kp.crosses(...) "
    "for a crossing, and every=..., indicators=[...] for what depends on earlier rows"
)


@dataclass(frozen=True)
class Crossing:
    """A value that goes through a level; made by `crosses`.

    Parameters
    ----------
    value, level
        What goes through what.
    direction
        ``"up"``, ``"down"`` or ``"both"``.

    Examples
    --------
    >>> crosses("last_price", 1500, "up").direction
    'up'
    """

    value: pl.Expr
    level: pl.Expr
    direction: Direction

    def __str__(self) -> str:
        ways = {"up": "crosses above", "down": "crosses below", "both": "crosses"}
        return f"{_short(self.value)} {ways[self.direction]} {_short(self.level)}"


Condition: TypeAlias = pl.Expr | Crossing
"""What an alert waits for."""


def crosses(
    value: str | pl.Expr, level: float | str | pl.Expr, direction: Direction = "both"
) -> Crossing:
    """Return the condition that a value goes through a level, for `alerts` and `Ticker.alert`.

    It holds at the first row in which the value is beyond the level, after one in which it was
    not: an instrument that is beyond it from the beginning has not crossed it.

    Parameters
    ----------
    value
        A column such as ``"last_price"``, or an expression.
    level
        A number, a column or an expression.
    direction
        ``"up"``, ``"down"`` or ``"both"``.

    Returns
    -------
    Crossing
        A condition; it is evaluated where it is used.

    Raises
    ------
    ConfigError
        If the direction is another.

    Examples
    --------
    >>> import kitepolars as kp
    >>> import polars as pl
    >>> prices = pl.DataFrame({"instrument_token": 1, "last_price": [9.0, 11.0, 12.0, 9.0]})
    >>> ticks = prices.with_columns(received_at=pl.from_epoch(pl.int_range(4)))
    >>> kp.alerts(ticks, kp.crosses("last_price", 10))["price"].to_list()
    [11.0, 9.0]
    """
    check_choice("direction", direction, Direction)
    column = pl.col(value) if isinstance(value, str) else value
    return Crossing(column, pl.col(level) if isinstance(level, str) else _number(level), direction)


def condition_text(condition: Condition) -> str:
    """Return a condition as text."""
    return str(condition) if isinstance(condition, Crossing) else _short(condition)


class PriceCondition(NamedTuple):
    """A condition that compares the last price with a number.

    Parameters
    ----------
    level
        The number, in rupees.
    at
        Returns the same condition for another one.
    """

    level: float
    at: Callable[[float], Condition]


def price_condition(condition: Condition) -> PriceCondition | None:
    """Return a condition as a comparison of the last price with a number; None if it is another.

    Examples
    --------
    >>> found = price_condition(pl.lit(1500) < pl.col("last_price"))
    >>> found.level, condition_text(found.at(1510))
    (1500.0, '[(1510) < (last_price)]')
    >>> price_condition(crosses("last_price", "average_traded_price"))
    """
    made, sides = _comparison(condition)
    if made is None:
        return None
    first, second = sides
    ways = (
        (second, first, lambda level: made(first, pl.lit(level))),
        (first, second, lambda level: made(pl.lit(level), second)),
    )
    for number, other, at in ways:
        if other.meta.eq(_LAST_PRICE) and (level := _finite(number)) is not None:
            return PriceCondition(level, at)
    return None


def _comparison(
    condition: Condition,
) -> tuple[Callable[[pl.Expr, pl.Expr], Condition] | None, Sequence[pl.Expr]]:
    """Return how a condition is made of two expressions, and these; None if it is another."""
    if isinstance(condition, Crossing):
        sides = [condition.value, condition.level]
        return lambda value, level: replace(condition, value=value, level=level), sides
    sides = condition.meta.pop()[::-1]
    if len(sides) == _TWO:
        for compare in _COMPARISONS:
            if compare(*sides).meta.serialize() == condition.meta.serialize():
                return compare, sides
    return None, sides


def _finite(expression: pl.Expr) -> float | None:
    """Return the finite number that an expression is; None if it is none."""
    found = pl.select(expression).item() if expression.meta.is_literal() else None
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
        return None
    return float(found)


def level_text(level: float) -> str:
    """Return a level as names of alerts have it: ``1,500.5``."""
    return f"{level:,.10g}"


def _short(expression: pl.Expr) -> str:
    """Return an expression as text, without the types of its numbers and the word ``col``."""
    text = _NUMBER_TYPE.sub("", str(expression))
    return _COLUMN_NAME.sub(r"\1", text)


def _number(level: float | pl.Expr) -> pl.Expr:
    return level if isinstance(level, pl.Expr) else pl.lit(level)


def tests(condition: Condition) -> list[pl.Expr]:
    """Return what has to be evaluated for a condition: one expression, or one a direction."""
    if isinstance(condition, pl.Expr):
        return [condition]
    ways = {"up": condition.value > condition.level, "down": condition.value < condition.level}
    return [test for way, test in ways.items() if condition.direction in {way, "both"}]


def check_condition(condition: object, schema: pl.Schema) -> Condition:
    """Return a condition that can be evaluated on rows of a frame as they come.

    Parameters
    ----------
    condition
        What was given.
    schema
        The columns of the rows.

    Raises
    ------
    ConfigError
        If it is no condition, names columns that are not there, is not true or false, or needs
        other rows than its own.
    """
    if not isinstance(condition, pl.Expr | Crossing):
        expected = "a Polars expression that is true or false, or kp.crosses(...)"
        raise ConfigError("condition", condition, expected)
    for test in tests(condition):
        _check(test, condition_text(condition), schema)
    return condition


def _check(test: pl.Expr, text: str, schema: pl.Schema) -> None:
    missing = sorted(set(test.meta.root_names()) - set(schema))
    if missing:
        expected = f"columns from {', '.join(schema)}; it names {', '.join(missing)}"
        raise ConfigError("condition", text, expected)
    if not _is_of_one_row(test):
        raise ConfigError("condition", text, _OF_ONE_ROW)
    rows = pl.DataFrame({name: [None] * _TWO for name in schema}, schema=schema)
    try:
        found = rows.select(test.alias("holds"))["holds"]
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ConfigError("condition", text, message=f"the condition fails: {error}") from error
    if found.dtype != pl.Boolean:
        raise ConfigError("condition", text, f"true or false at each row; it is {found.dtype}")
    if found.len() != _TWO:
        raise ConfigError("condition", text, _OF_ONE_ROW)


def _is_of_one_row(expression: pl.Expr) -> bool:
    """Whether an expression gives the same for a row whatever other rows there are.

    Polars 1.x cannot tell; there it is taken to be so.
    """
    is_separable = getattr(expression.meta, "is_row_separable", lambda: True)
    try:
        return is_separable() and all(map(_is_of_one_row, expression.meta.pop()))
    except pl.exceptions.PolarsError:  # a function of whole columns, such as an indicator
        return False


Codes: TypeAlias = npt.NDArray[np.uint8]
"""A condition by row: 0, 1 or `UNKNOWN`."""


def codes(found: pl.Series | Value, ignored: npt.NDArray[np.bool_] | None = None) -> Codes:
    """Return what a test gave as 0, 1 or `UNKNOWN`.

    Parameters
    ----------
    found
        Booleans.
    ignored
        Rows that are unknown whatever was found.
    """
    known = _known(found)
    if ignored is not None:
        known[ignored] = UNKNOWN
    return known


def _known(found: pl.Series | Value) -> Codes:
    if isinstance(found, Value):
        known: Codes = found.values.astype(np.uint8)
        if found.valid is not None:
            known[~found.valid] = UNKNOWN
        return known
    # Not in the query: on a few hundred rows each expression more takes as long as all of this.
    numbers: npt.NDArray[Any] = found.cast(pl.UInt8).to_numpy(writable=True)
    if numbers.dtype != np.uint8:  # nulls have become NaN
        numbers = np.nan_to_num(numbers, nan=UNKNOWN)
    return numbers.astype(np.uint8, copy=False)
