"""What a chart draws besides bars: levels of the day, orders, fills, gaps, alerts. Any thread.

Times are seconds since the Unix epoch, as the view reads them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from kitepolars.alerting.rows import FiredAlert, FiredAlerts
from kitepolars.widgets.reading import ActiveAlert

DAY_LEVELS: Final = {"close": "Prev. close", "high": "High", "low": "Low"}
"""Columns of a tick that are drawn as levels, and what they are called."""
GAPS_DRAWN: Final = 200
"""Most gaps drawn: the latest ones."""
_WORKING: Final = frozenset({"OPEN", "TRIGGER PENDING"})
"""States of an order that waits in the market."""


def levels_of(tick: Mapping[str, Any] | None) -> list[tuple[str, float]]:
    """Return name and price of the previous close and the day's high and low.

    Parameters
    ----------
    tick
        The last tick of the instrument, a row of ``latest()``.

    Examples
    --------
    >>> levels_of({"close": 100.0, "high": 103.5, "low": None})
    [('Prev. close', 100.0), ('High', 103.5)]
    """
    if tick is None:
        return []
    return [(name, tick[column]) for column, name in DAY_LEVELS.items() if tick[column]]


def fills_of(orders: pl.DataFrame, instrument_token: int) -> list[dict[str, Any]]:
    """Return what orders of an instrument have filled: time, price, quantity, side.

    Parameters
    ----------
    orders
        The frame of ``ticker.orders()``, every update.
    instrument_token
        The instrument.

    Returns
    -------
    list
        A dict for each update in which the filled quantity of its order grew. The price is
        that of the quantity filled since the update before, in rupees.
    """
    filled = orders.filter(
        pl.col("instrument_token") == instrument_token, pl.col("filled_quantity") > 0
    ).sort("filled_quantity", maintain_order=True)
    before: dict[str | None, tuple[int, float]] = {}
    fills = []
    for row in filled.iter_rows(named=True):
        quantity, worth = before.get(row["order_id"], (0, 0.0))
        total = row["filled_quantity"] * (row["average_price"] or 0.0)
        new = row["filled_quantity"] - quantity
        if new <= 0:
            continue
        before[row["order_id"]] = row["filled_quantity"], total
        fills.append(
            {
                "time": _seconds(row["exchange_timestamp"] or row["received_at"]),
                "price": (total - worth) / new,
                "quantity": new,
                "side": row["transaction_type"],
            }
        )
    return sorted(fills, key=lambda fill: fill["time"])


def working_orders(latest: pl.DataFrame, instrument_token: int) -> list[dict[str, Any]]:
    """Return price, quantity and side of the orders of an instrument that wait in the market.

    Parameters
    ----------
    latest
        The frame of ``ticker.orders(latest=True)``.
    instrument_token
        The instrument.
    """
    waiting = latest.filter(
        pl.col("instrument_token") == instrument_token, pl.col("status").is_in(_WORKING)
    )
    price = pl.when(pl.col("price") > 0).then("price").otherwise("trigger_price")
    rows = waiting.select(
        price=price, quantity="pending_quantity", side="transaction_type"
    ).drop_nulls("price")
    return rows.filter(pl.col("price") > 0).to_dicts()


def alert_levels(
    alerts: Iterable[ActiveAlert], instrument_token: int
) -> list[dict[str, str | float]]:
    """Return the alerts that are about a price of an instrument: name and level.

    Parameters
    ----------
    alerts
        Those of ``ticker.active_alerts()``.
    instrument_token
        The instrument.
    """
    return [
        {"name": alert.name, "level": alert.level}
        for alert in alerts
        if alert.level is not None
        and (alert.instruments is None or instrument_token in alert.instruments)
    ]


def fired_rows(fired: FiredAlerts) -> list[tuple[int, FiredAlert]]:
    """Return alerts that fired with their numbers, the oldest first."""
    return list(enumerate(fired.rows, fired.number - len(fired.rows)))


def alerts_fired(fired: FiredAlerts, instrument_token: int) -> list[dict[str, Any]]:
    """Return when alerts fired for an instrument: number, time, price, name.

    Parameters
    ----------
    fired
        The last alerts that fired.
    instrument_token
        The instrument.
    """
    return [
        {
            "number": number,
            "time": _seconds(row.fired_at),
            "price": row.price,
            "name": row.name,
            "symbol": row.symbol,
        }
        for number, row in fired_rows(fired)
        if row.instrument_token == instrument_token
    ]


def gaps_of(gaps: pl.DataFrame) -> list[tuple[float, float | None]]:
    """Return beginning and end of gaps in the data; the end is None while one lasts.

    Parameters
    ----------
    gaps
        The frame of ``ticker.gaps()``.
    """
    spans = gaps.tail(GAPS_DRAWN).select("started_at", "ended_at").iter_rows()
    return [(_seconds(began), None if ended is None else _seconds(ended)) for began, ended in spans]


def _seconds(moment: dt.datetime) -> float:
    return moment.timestamp()
