"""The indicators of a chart: which there are, where they are drawn, their values. Any thread.

A study is written as in a formula: ``"ema(20)"``, ``"macd(12, 26, 9)"``, ``"rsi"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.analytics import technical
from kitepolars.errors import ConfigError

MAX_STUDIES: Final = 8
"""Most studies on one chart."""


@dataclass(frozen=True, kw_only=True)
class StudyKind:
    """An indicator that a chart can draw.

    Parameters
    ----------
    label
        Its name in the menu.
    function
        Returns the indicator, from its parameters.
    defaults
        The parameters that it is drawn with if none are given.
    own_pane
        Whether it has its own pane below the prices.
    """

    label: str
    function: Callable[..., Any]
    defaults: tuple[float, ...] = ()
    own_pane: bool = False


STUDY_KINDS: Final = {
    "sma": StudyKind(label="Moving average", function=technical.sma, defaults=(20,)),
    "ema": StudyKind(label="Exponential average", function=technical.ema, defaults=(20,)),
    "wma": StudyKind(label="Weighted average", function=technical.wma, defaults=(20,)),
    "bollinger": StudyKind(label="Bollinger bands", function=technical.bollinger, defaults=(20, 2)),
    "vwap_bands": StudyKind(label="VWAP with bands", function=technical.vwap_bands, defaults=(2,)),
    "supertrend": StudyKind(label="Supertrend", function=technical.supertrend, defaults=(10, 3)),
    "opening_range": StudyKind(
        label="Opening range", function=technical.opening_range, defaults=(15,)
    ),
    "rsi": StudyKind(label="RSI", function=technical.rsi, defaults=(14,), own_pane=True),
    "macd": StudyKind(label="MACD", function=technical.macd, defaults=(12, 26, 9), own_pane=True),
    "stochastic": StudyKind(
        label="Stochastic", function=technical.stochastic, defaults=(14, 3, 3), own_pane=True
    ),
    "atr": StudyKind(label="ATR", function=technical.atr, defaults=(14,), own_pane=True),
    "adx": StudyKind(label="ADX", function=technical.adx, defaults=(14,), own_pane=True),
    "obv": StudyKind(label="On-balance volume", function=technical.obv, own_pane=True),
}
"""Indicators by name. A new one in the chart's menu is a new row here."""

_WRITTEN: Final = re.compile(r"\s*([a-z_]+)\s*(?:\(([^()]*)\))?\s*")
Values = npt.NDArray[np.float64]


class ChartStudy:
    """An indicator on a chart, continued bar by bar.

    Parameters
    ----------
    text
        The name and parameters, such as ``"ema(20)"``.

    Raises
    ------
    ConfigError
        If the name is not in `STUDY_KINDS`, or a parameter is impossible.

    Examples
    --------
    >>> ChartStudy("bollinger").text
    'bollinger(20, 2)'
    >>> ChartStudy("bollinger").lines
    ('bollinger_lower', 'bollinger_middle', 'bollinger_upper')
    """

    def __init__(self, text: str) -> None:
        match = _WRITTEN.fullmatch(text)
        if match is None or match[1] not in STUDY_KINDS:
            raise ConfigError("studies", text, f"like 'ema(20)': one of {', '.join(STUDY_KINDS)}")
        self.kind = STUDY_KINDS[match[1]]
        parameters = _parameters(text, match[2]) or self.kind.defaults
        try:
            made = self.kind.function(*parameters)
        except TypeError:
            raise ConfigError("studies", text, f"{match[1]} with fewer parameters") from None
        self.text = _written(match[1], parameters)
        self.lines = tuple(name for name in made.study.names if not name.endswith("_direction"))
        self._growing = technical.IncrementalIndicators([made])

    def values(self, bars: pl.DataFrame) -> Values:
        """Return the values beside all bars, shape ``(bars, lines)``; NaN while it warms up.

        Asking again for more bars costs those that are new.
        """
        numbers = self._growing.add_to(bars).select(
            pl.col(self.lines).cast(pl.Float64).fill_null(float("nan"))
        )
        return numbers.to_numpy(order="c")

    def describe(self) -> dict[str, Any]:
        """Return what a view needs to draw it."""
        return {"text": self.text, "lines": self.lines, "own_pane": self.kind.own_pane}


def studies_from(texts: Sequence[str]) -> tuple[ChartStudy, ...]:
    """Return studies, each once.

    Raises
    ------
    ConfigError
        If one cannot be, or there are more than `MAX_STUDIES`.
    """
    if isinstance(texts, str):
        texts = [texts]
    found = {study.text: study for study in map(ChartStudy, texts)}
    if len(found) > MAX_STUDIES:
        raise ConfigError("studies", len(found), f"at most {MAX_STUDIES}")
    return tuple(found.values())


def study_menu() -> list[tuple[str, str]]:
    """Return what each kind is written as, with its defaults, and its label."""
    return [(_written(name, kind.defaults), kind.label) for name, kind in STUDY_KINDS.items()]


def _parameters(text: str, inside: str | None) -> tuple[float, ...]:
    parts = [part.strip() for part in (inside or "").split(",") if part.strip()]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise ConfigError("studies", text, "a name with numbers in parentheses") from None
    return tuple(int(number) if number.is_integer() else number for number in numbers)


def _written(name: str, parameters: Sequence[float]) -> str:
    return f"{name}({', '.join(f'{number:g}' for number in parameters)})" if parameters else name
