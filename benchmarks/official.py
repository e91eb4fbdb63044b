"""The official client as users use it: its parser, and DataFrames of its dicts. Calling thread.

Needs the extra ``bench``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from kitepolars.wire.layouts import DEPTH_LEVELS

Ticks = list[dict[str, Any]]

_SIDES: Final = {"buy": "bid", "sell": "ask"}
_TIMES: Final = ("exchange_timestamp", "last_trade_time")
_OWN: Final = ("tradable", "change", "ohlc", "depth", *_TIMES)
"""Not compared by name: computed by the client, nested, or local times."""


def is_installed() -> bool:
    """Say whether the official client is there."""
    return importlib.util.find_spec("kiteconnect") is not None


def parser() -> Callable[[bytes], Ticks]:
    """Return the official client's parser: a message → a list of dicts.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    from kiteconnect import KiteTicker  # noqa: PLC0415 - an extra

    parse: Callable[[bytes], Ticks] = KiteTicker("key", "token")._parse_binary  # noqa: SLF001 - what its own socket calls
    return parse


def nested_frame(ticks: Ticks) -> pl.DataFrame:
    """Return a DataFrame of the dicts as they are: structs of lists of structs."""
    return pl.DataFrame(ticks)


def flat_frame(ticks: Ticks) -> pl.DataFrame:
    """Return a DataFrame with a column per value, as users need it."""
    return pl.DataFrame([_flat(tick) for tick in ticks])


def _flat(tick: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in tick.items() if name not in ("ohlc", "depth")}
    row.update(tick.get("ohlc", {}))
    for side, name in _SIDES.items():
        levels = tick.get("depth", {}).get(side, ())
        for field in ("price", "quantity", "orders"):
            row[f"{name}_{field}"] = [level[field] for level in levels]
    return row


def differences(ours: pl.DataFrame, theirs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the rows of `frame()` with the official client's dicts, value by value.

    Returns
    -------
    list of str
        The differences.
    """
    if ours.height != len(theirs):
        return [f"{ours.height} rows against {len(theirs)} dicts"]
    found: list[str] = []
    for number, (row, tick) in enumerate(zip(ours.iter_rows(named=True), theirs, strict=True)):
        expected = _expected(tick)
        found += [
            f"row {number}, {name}: {_plain(row[name])} against {value}"
            for name, value in expected.items()
            if _plain(row[name]) != value
        ]
    return found


def _expected(tick: Mapping[str, Any]) -> dict[str, Any]:
    expected = {name: value for name, value in tick.items() if name not in _OWN}
    expected.update(tick.get("ohlc", {}))
    for side, name in _SIDES.items() if "depth" in tick else ():
        levels = tick["depth"][side]
        assert len(levels) == DEPTH_LEVELS
        for field in ("price", "quantity", "orders"):
            expected[f"{name}_{field}"] = [level[field] for level in levels]
    for name in _TIMES:
        if tick.get(name) is not None:
            expected[name] = tick[name].timestamp()
    return expected


def _plain(value: Any) -> Any:
    if isinstance(value, pl.Series):
        return value.to_list()
    return value.timestamp() if hasattr(value, "timestamp") else value
