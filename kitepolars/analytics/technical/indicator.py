"""What an indicator is: an expression over bars that can also be continued bar by bar. Pure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, Self, TypeAlias

import numpy as np
import polars as pl

from kitepolars.analytics.indicators import indicator
from kitepolars.analytics.technical.scan import BarScan, Floats, Sessions
from kitepolars.calendar import IST_OFFSET
from kitepolars.errors import ConfigError, check_whole_number

TOKEN_COLUMN: Final = "instrument_token"  # noqa: S105 - a column's name
START_COLUMN: Final = "start"
LONGEST_PERIOD: Final = 10_000
"""Bars that a window may have at most."""

Compute: TypeAlias = Callable[..., Floats | Sequence[Floats]]
"""Computes the output or outputs of the next rows from a `BarScan` and the input columns."""

Recipe: TypeAlias = tuple[tuple[str, ...], Compute]
"""The columns that an indicator is computed of, and how."""

P = ParamSpec("P")


@dataclass(frozen=True)
class Study:
    """The parameters of an indicator, and how it is computed.

    Parameters
    ----------
    name
        The name of its column.
    columns
        The columns it is computed of.
    compute
        Computes it.
    settings
        The name of the function that made it, and what it was called with: what `compute` depends
        on, so that two of them can be compared.
    outputs
        What is appended to the name for each of its columns.
    """

    name: str
    columns: tuple[str, ...]
    compute: Compute = field(compare=False)
    settings: tuple[object, ...]
    outputs: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return [self.name + suffix for suffix in self.outputs]

    def run(
        self, scan: BarScan, tokens: pl.Series, columns: Sequence[pl.Series]
    ) -> list[pl.Series]:
        """Return its columns for the next rows."""
        scan.begin(tokens.cast(pl.UInt32).to_numpy())
        arrays = [_times(one) if one.dtype == pl.Datetime else _floats(one) for one in columns]
        computed = self.compute(scan, *arrays)
        outputs = (computed,) if isinstance(computed, np.ndarray) else computed
        return [
            pl.Series(name, output, nan_to_null=True)
            for name, output in zip(self.names, outputs, strict=True)
        ]


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).to_numpy()


def _times(column: pl.Series) -> Sessions:
    """Return Indian times: microseconds since 1 January 1970, 00:00 in India."""
    return column.dt.cast_time_unit("us").to_physical().to_numpy() + IST_OFFSET


class Indicator(pl.Expr):
    """An expression over bars, which are in the order of time, each with its instrument.

    Instruments are kept apart without ``.over(...)``. An indicator with several columns is a
    struct of them; ``df.kite`` adds the columns themselves.

    Parameters
    ----------
    study
        What it computes.

    Examples
    --------
    >>> import kitepolars as kp
    >>> kp.indicators.ema(5).alias("fast").meta.output_name()
    'fast'
    """

    study: Study

    def __init__(self, study: Study) -> None:
        vars(self).update(vars(_expression(study)))
        self.study = study

    def alias(self, name: str) -> Self:
        """Return the same under another name, with which its columns begin.

        Parameters
        ----------
        name
            The name.

        Examples
        --------
        >>> import kitepolars as kp
        >>> kp.indicators.macd().alias("trend").study.names
        ['trend', 'trend_signal', 'trend_histogram']
        """
        return type(self)(replace(self.study, name=name))


def study(*outputs: str) -> Callable[[Callable[P, Recipe]], Callable[P, Indicator]]:
    """Make a function that returns a recipe one that returns an `Indicator` of its name.

    Parameters
    ----------
    outputs
        As for `Study`; none for one column.
    """

    def decorate(function: Callable[P, Recipe]) -> Callable[P, Indicator]:
        signature = inspect.signature(function)
        name = function.__name__

        @functools.wraps(function)
        def made(*args: P.args, **kwargs: P.kwargs) -> Indicator:
            columns, compute = function(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            settings = (name, *bound.arguments.values())
            return Indicator(Study(name, columns, compute, settings, outputs or ("",)))

        # What help and the reference show is what the caller gets.
        made.__annotations__ = {**function.__annotations__, "return": "Indicator"}
        vars(made)["__signature__"] = signature.replace(return_annotation="Indicator")
        return indicator()(made)

    return decorate


def _expression(study: Study) -> pl.Expr:
    def computed(columns: Sequence[pl.Series]) -> pl.Series:
        outputs = study.run(BarScan(), columns[0], columns[1:])
        if len(outputs) == 1:
            return outputs[0]
        return pl.DataFrame(outputs).to_struct(study.name)

    fields = dict.fromkeys(study.names, pl.Float64())
    dtype = pl.Float64() if len(fields) == 1 else pl.Struct(fields)
    inputs = [pl.col(TOKEN_COLUMN), *map(pl.col, study.columns)]
    return pl.map_batches(inputs, computed, return_dtype=dtype).alias(study.name)


def check_period(name: str, value: int, smallest: int = 2) -> None:
    """Raise `ConfigError` unless it is a number of bars that a window can have."""
    check_whole_number(name, value, smallest, LONGEST_PERIOD)


def check_multiple(name: str, value: float) -> None:
    """Raise `ConfigError` unless it is a positive number."""
    if not value > 0 or not np.isfinite(value):
        raise ConfigError(name, value, "a number above 0")
