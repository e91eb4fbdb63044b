"""When an alert fires: once each time its condition becomes true. Pure; any thread.

An alert remembers of each instrument whether its condition held. So it may be given rows all at
once or in any number of parts, and fires at the same rows.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native
from kitepolars.alerting.compiled import CompiledCondition, compile_condition
from kitepolars.alerting.conditions import (
    Codes,
    Condition,
    Crossing,
    PriceCondition,
    check_condition,
    codes,
    condition_text,
    level_text,
    price_condition,
    tests,
)
from kitepolars.alerting.rows import RowsToCheck
from kitepolars.analytics import Clock, Hours, candles
from kitepolars.analytics.bars import parse_interval
from kitepolars.analytics.columns import require
from kitepolars.analytics.technical import IncrementalIndicators, Indicator
from kitepolars.analytics.technical.scan import SlotMemory
from kitepolars.errors import ConfigError
from kitepolars.frames.index import TokenIndex

_LONGEST_NAME: Final = 80
_NEVER: Final = -(2**63)
_TRUTH: Final = np.dtype([("since", "i8"), ("fired_at", "i8"), ("known", "i8"), ("spent", "i8")])
"""`struct truth` of `scans.c`."""

_FIRST_TRUTH: Final = np.array([(_NEVER, _NEVER, 0, 0)], _TRUTH)
_LONGEST_SECONDS: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A condition, and how often it may fire. `make` checks the settings.

    Parameters
    ----------
    condition
        What it waits for.
    given_name
        The alert's name; None for one made of the condition.
    about
        The instruments it is about, as that name begins; "" for all.
    lasting, cooldown
        Microseconds for which it has to hold; and that have to pass before the same instrument
        fires again.
    once
        Whether an instrument fires once only.
    """

    condition: Condition
    given_name: str | None
    about: str
    lasting: int
    cooldown: int
    once: bool

    @cached_property
    def text(self) -> str:
        """Its condition as text."""
        return condition_text(self.condition)

    @cached_property
    def priced(self) -> PriceCondition | None:
        """Its condition, if it compares the last price with a number."""
        return price_condition(self.condition)

    @cached_property
    def name(self) -> str:
        """The alert's name."""
        return self.given_name or f"{self.about} {self.text}".strip()[:_LONGEST_NAME]

    def at(self, level: float) -> Rule:
        """Return the rule for another price; a name that ends with the old one gets the new one.

        Raises
        ------
        ConfigError
            If it compares no price with a number, or the price is not a finite number.
        """
        priced = self.priced
        if priced is None:
            expected = "of an alert that compares last_price with a number"
            raise ConfigError("level", level, expected)
        if not math.isfinite(level):
            raise ConfigError("level", level, "a finite number")
        name, before = self.given_name, level_text(priced.level)
        if name is not None and name.endswith(before):
            name = name.removesuffix(before) + level_text(level)
        return replace(self, condition=priced.at(level), given_name=name)

    @classmethod
    def make(
        cls,
        condition: object,
        schema: pl.Schema,
        *,
        name: str | None,
        lasting: str | float | dt.timedelta | None,
        cooldown: str | float | dt.timedelta | None,
        once: bool,
        about: str = "",
    ) -> Rule:
        """Return a rule for rows of a schema; raise `ConfigError` if it cannot be evaluated."""
        checked = check_condition(condition, schema)
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigError("name", name, "a text, or None")
        return cls(
            condition=checked,
            given_name=name,
            about=about,
            lasting=duration("lasting", lasting),
            cooldown=duration("cooldown", cooldown),
            once=once,
        )


def duration(field: str, value: str | float | dt.timedelta | None) -> int:
    """Return a duration in microseconds; None is 0.

    Raises
    ------
    ConfigError
        If it is not from 0 seconds to a day.
    """
    if value is None:
        return 0
    if isinstance(value, str):
        return parse_interval(value)
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= _LONGEST_SECONDS:
        expected = "seconds from 0 to 86,400, a text such as '30s' or '5m', a timedelta, or None"
        raise ConfigError(field, value, expected)
    return round(seconds * 1_000_000)


class Watch:
    """A rule, and what it remembers of each slot."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.tests = tests(rule.condition)
        """What to evaluate on new rows."""
        self.clear()

    @property
    def is_crossing(self) -> bool:
        """Whether it has to see first that its condition does not hold."""
        return isinstance(self.rule.condition, Crossing)

    @cached_property
    def compiled(self) -> list[CompiledCondition] | None:
        """Its tests compiled for ticks; None if Polars has to evaluate them."""
        found = [compile_condition(test) for test in self.tests]
        compiled = [each for each in found if each is not None]
        return compiled if len(compiled) == len(found) else None

    def clear(self) -> None:
        """Forget all rows."""
        self._truths = [SlotMemory(_FIRST_TRUTH) for _ in self.tests]

    def fired(self, found: Sequence[Codes], rows: RowsToCheck) -> npt.NDArray[np.int64]:
        """Return the rows at which it fires.

        Parameters
        ----------
        found
            What each of `tests` gave.
        rows
            The rows.
        """
        rule, count = self.rule, len(rows)
        if not count:
            return np.empty(0, np.int64)
        slots, times = np.ascontiguousarray(rows.slots), np.ascontiguousarray(rows.times)
        fired = []
        for code, truth in zip(found, self._truths, strict=True):
            code, out = np.ascontiguousarray(code), np.empty(count, np.int64)  # noqa: PLW2901
            number = native.alert_rows(
                native.address(slots),
                count,
                native.address(code),
                native.address(times),
                truth.address(rows.room),
                rule.lasting,
                rule.cooldown,
                self.is_crossing,
                rule.once,
                native.address(out),
            )
            fired.append(out[:number])
        return fired[0] if len(fired) == 1 else np.unique(np.concatenate(fired))


def evaluate(
    watches: Sequence[Watch],
    rows: RowsToCheck,
    ignored: Sequence[npt.NDArray[np.bool_] | None],
) -> list[npt.NDArray[np.int64]]:
    """Return the rows at which each of several rules fires.

    Parameters
    ----------
    watches
        The rules.
    rows
        New rows.
    ignored
        For each rule, rows that it is not about, or None.
    """
    columns = rows.columns
    asked = [watch for watch in watches if columns is None or watch.compiled is None]
    answers = iter(_query(asked, rows) if asked else ())
    fired = []
    for watch, skip in zip(watches, ignored, strict=True):
        if columns is None or watch.compiled is None:
            found = [codes(next(answers), skip) for _ in watch.tests]
        else:
            found = [codes(test.evaluate(columns), skip) for test in watch.compiled]
        fired.append(watch.fired(found, rows))
    return fired


def _query(watches: Sequence[Watch], rows: RowsToCheck) -> list[pl.Series]:
    """Return what each test of some rules gives: all in one query."""
    tests_of_all = [test for watch in watches for test in watch.tests]
    named = [test.alias(f"{number}") for number, test in enumerate(tests_of_all)]
    needed = dict.fromkeys(name for test in named for name in test.meta.root_names())
    frame = rows.select(tuple(needed))
    return frame.select_seq(named).get_columns()  # faster than threads, on few rows


def alerts(
    frame: pl.DataFrame | pl.LazyFrame,
    condition: Condition,
    *,
    name: str | None = None,
    lasting: str | float | dt.timedelta | None = None,
    cooldown: str | float | dt.timedelta | None = None,
    once: bool = False,
    every: str | dt.timedelta | None = None,
    indicators: Sequence[Indicator] = (),
    on: Clock = "exchange_timestamp",
    hours: Hours = "exchange",
    snapshots: bool = False,
) -> pl.DataFrame:
    """Return when a condition would have raised an alert: those of `Ticker.alert`, of a frame.

    An alert fires for an instrument when the condition becomes true, and again after it was false.

    Parameters
    ----------
    frame
        Ticks in arrival order, or candles.
    condition
        An expression over a row that is true or false, such as ``kp.change() > 2``, or
        `crosses`. A null is neither: nothing changes.
    name
        The alert's name; by default the condition's text.
    lasting
        How long the condition has to hold: ``"30s"``, seconds, or a timedelta. It fires at the
        first row of the instrument after that.
    cooldown
        How long after it fired the same instrument does not fire again.
    once
        Whether an instrument fires once only.
    every
        Makes candles of the ticks and evaluates each when it is finished; the alert is of its end.
    indicators
        Indicators of `kitepolars.indicators` to add to the candles as columns first.
    on, hours
        As for `candles`, with `every`.
    snapshots
        Whether cached values (``is_snapshot``) count.

    Returns
    -------
    DataFrame
        `ALERTS`, in the order of the rows: the time (of a tick its arrival), the alert's name,
        the instrument, and its last price (of a candle its close).

    Raises
    ------
    ConfigError
        If columns are missing, the condition is not true or false, needs other rows than its own,
        or a duration is impossible.

    Examples
    --------
    >>> import polars as pl
    >>> ticks = pl.DataFrame(
    ...     {
    ...         "received_at": pl.from_epoch(pl.Series(range(5))),
    ...         "instrument_token": 1,
    ...         "last_price": [9.0, 11.0, 12.0, 9.0, 11.0],
    ...     }
    ... )
    >>> alerts(ticks, pl.col("last_price") > 10)["price"].to_list()
    [11.0, 11.0]
    """
    whole = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    schema = require(whole, ("instrument_token",), "alerts")
    if every is not None and "start" not in schema:
        whole = candles(whole, every, on=on, hours=hours)
    if indicators:
        whole = IncrementalIndicators(indicators).add_to(whole)
    if "start" in whole.columns and "is_partial" in whole.columns:
        whole = whole.filter(~pl.col("is_partial"))
    rule = Rule.make(
        condition, whole.schema, name=name, lasting=lasting, cooldown=cooldown, once=once
    )
    length = 0 if every is None else parse_interval(every)
    rows = RowsToCheck.of_frame(
        whole,
        TokenIndex().slots(whole["instrument_token"].cast(pl.UInt32).to_numpy()),
        _times(whole) + length,
    )
    skip = None
    if "is_snapshot" in whole.columns and not snapshots:
        skip = whole["is_snapshot"].to_numpy()
    (fired,) = evaluate([Watch(rule)], rows, [skip])
    return rows.fired(rule.name, fired)


def _times(frame: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the times of rows: their arrival or, of candles, their start."""
    name = next((one for one in ("received_at", "start") if one in frame.columns), None)
    if name is None:
        require(frame, ("received_at",), "alerts")
    times = frame[name or ""].dt.cast_time_unit("us").to_physical()
    return times.to_numpy()
