"""The feed's records → DataFrames with fixed columns. Pure; callable from any thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from kitepolars.frames.schema import MODE, TIMESTAMP
from kitepolars.ledger.connections import ConnectionStatus
from kitepolars.ledger.gaps import Gap
from kitepolars.ledger.orders import OrderUpdate
from kitepolars.source import Event
from kitepolars.wire.control import ORDER_TIMES, parse_time
from kitepolars.wire.layouts import Mode

CONNECTIONS: Final = pl.Schema(
    {
        "connection": pl.UInt8(),
        "account": pl.String(),
        "state": pl.String(),
        "instruments": pl.UInt32(),
        "capacity": pl.UInt32(),
        "messages": pl.UInt64(),
        "bytes": pl.UInt64(),
        "last_message_at": TIMESTAMP,
        "reconnects": pl.UInt32(),
        "since": TIMESTAMP,
    }
)
"""The columns of ``connections()``."""

SUBSCRIPTIONS: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "symbol": pl.Categorical(),
        "mode": MODE,
        "connection": pl.UInt8(),
    }
)
"""The columns of ``subscriptions()``; ``connection`` is null while there is no place for it."""

GAPS: Final = pl.Schema(
    {
        "connection": pl.UInt8(),
        "account": pl.String(),
        "started_at": TIMESTAMP,
        "ended_at": TIMESTAMP,
        "reason": pl.String(),
        "instruments": pl.UInt32(),
        "waiting": pl.UInt32(),
    }
)
"""The columns of ``gaps()``; ``ended_at`` is null while no instrument of it has had a packet."""

EVENTS: Final = pl.Schema(
    {"at": TIMESTAMP, "connection": pl.UInt8(), "kind": pl.String(), "detail": pl.String()}
)
"""The columns of ``events()``."""

_ORDER_TEXTS: Final = (
    "order_id",
    "exchange_order_id",
    "parent_order_id",
    "account_id",
    "placed_by",
    "status",
    "status_message",
    "exchange",
    "tradingsymbol",
    "variety",
    "order_type",
    "transaction_type",
    "validity",
    "product",
    "tag",
    "guid",
)
_ORDER_QUANTITIES: Final = (
    "quantity",
    "disclosed_quantity",
    "filled_quantity",
    "pending_quantity",
    "cancelled_quantity",
    "unfilled_quantity",
)
_ORDER_PRICES: Final = ("price", "trigger_price", "average_price", "market_protection")

ORDERS: Final = pl.Schema(
    {
        "received_at": TIMESTAMP,
        "connection": pl.UInt8(),
        **dict.fromkeys(ORDER_TIMES, TIMESTAMP),
        "instrument_token": pl.UInt32(),
        **dict.fromkeys(_ORDER_TEXTS, pl.String()),
        **dict.fromkeys(_ORDER_QUANTITIES, pl.Int64()),
        **dict.fromkeys(_ORDER_PRICES, pl.Float64()),
        "other": pl.String(),
    }
)
"""The columns of ``orders()``; ``other`` is JSON text of the fields that have no column."""


def _timestamps(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Give times that are microseconds since the epoch, UTC, the dtype of the schema."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _frame(rows: Iterable[Mapping[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    raw = {
        name: pl.Int64() if isinstance(dtype, pl.Datetime) else dtype
        for name, dtype in schema.items()
    }
    return _timestamps(pl.DataFrame(list(rows), schema=raw, orient="row"), schema)


def gaps_frame(gaps: Sequence[Gap]) -> pl.DataFrame:
    """Return the holes in the data with the columns `GAPS`."""
    return _frame(map(asdict, gaps), GAPS)


def events_frame(events: Sequence[Event]) -> pl.DataFrame:
    """Return events with the columns `EVENTS`."""
    return _frame((event._asdict() for event in events), EVENTS)


def connections_frame(connections: Sequence[ConnectionStatus], capacity: int) -> pl.DataFrame:
    """Return the connections with the columns `CONNECTIONS`.

    Parameters
    ----------
    connections
        Their states.
    capacity
        Instruments that fit on one.
    """
    rows = (
        {**asdict(status), "connection": status.index, "capacity": capacity}
        for status in connections
    )
    return _frame(rows, CONNECTIONS)


def subscriptions_frame(
    subscriptions: Mapping[int, tuple[Mode, int | None]], symbols: pl.Series
) -> pl.DataFrame:
    """Return the subscriptions with the columns `SUBSCRIPTIONS`.

    Parameters
    ----------
    subscriptions
        Instrument token → mode and connection.
    symbols
        The symbol of each, in the same order, as a Categorical column.
    """
    return pl.DataFrame(
        {
            "instrument_token": list(subscriptions),
            "symbol": symbols,
            "mode": [mode for mode, _ in subscriptions.values()],
            "connection": [connection for _, connection in subscriptions.values()],
        },
        schema=SUBSCRIPTIONS,
    )


def orders_frame(orders: Sequence[OrderUpdate], *, latest: bool = False) -> pl.DataFrame:
    """Return order updates with the columns `ORDERS`, in the order of their arrival.

    Values of another kind than the column's become null and are kept in ``other``.

    Parameters
    ----------
    orders
        Distinct updates.
    latest
        One row an order: the update that is furthest on, whatever order they arrived in.
    """
    frame = _frame((_order_row(order) for order in orders), ORDERS)
    return _latest_orders(frame) if latest else frame


_WAY: Final = (
    "AMO REQ RECEIVED",
    "PUT ORDER REQ RECEIVED",
    "VALIDATION PENDING",
    "OPEN PENDING",
    "TRIGGER PENDING",
    "OPEN",
)
"""The states of an order on its way into the market, in their order.

Source: Kite Connect v3, "Orders", order statuses.
"""

_AT_EXCHANGE: Final = _WAY.index("TRIGGER PENDING")
"""From here on an order may be modified and return to a state; before, it only advances."""

_FINISHED: Final = (
    "COMPLETE",
    "CANCELLED",
    "CANCELED",
    "CANCEL",
    "CANCELLED AMO",
    "REJECTED",
    "LAPSED",
)
"""The states that nothing can follow."""


def _latest_orders(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep, for each order, the update that nothing can follow, or else the one furthest on.

    A partial fill may arrive after the complete one, with the same time or an earlier one. Kite's
    times are whole seconds of several clocks, and connections deliver in their own order: what has
    reached the exchange is later than what has not, and among updates of one second the states say
    which is later. Other states, such as ``MODIFY PENDING``, are as far on as the one before.
    Updates without an ``order_id`` are all kept.
    """
    status = pl.col("status").fill_null("")
    rank = (
        status.replace_strict({name: rank for rank, name in enumerate(_WAY)}, default=None)
        .forward_fill()
        .over("order_id")
        .fill_null(len(_WAY))
    )
    when = pl.coalesce("exchange_update_timestamp", "order_timestamp", "received_at")
    filled = pl.col("filled_quantity").fill_null(0)
    stage = rank.clip(upper_bound=_AT_EXCHANGE)
    furthest = (status.is_in(_FINISHED), filled, stage, when, rank, pl.col("_row"))
    is_nameless = pl.col("order_id").is_null()
    return (
        frame.with_row_index("_row")
        .sort(*furthest)
        .filter(is_nameless | pl.col("order_id").is_last_distinct())
        .sort("_row")
        .drop("_row")
    )


def _order_row(order: OrderUpdate) -> dict[str, object]:
    data = dict(order.data)
    if data.get("account_id") in (None, data.get("user_id")):  # as the HTTP postback calls it
        data["account_id"] = data.pop("user_id", None)
    row: dict[str, object] = {"received_at": order.received_at, "connection": order.connection}
    for name, read in _ORDER_FIELDS.items():
        value = data.get(name)
        row[name] = None if value is None else read(value)
        if row[name] is not None or value in (None, ""):
            data.pop(name, None)
    row["other"] = json.dumps(data, default=str, sort_keys=True) if data else None
    return row


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    is_whole = isinstance(value, int | float) and value == value // 1 and abs(value) < 2**62
    return int(value) if is_whole and not isinstance(value, bool) else None  # type: ignore[call-overload]


def _token(value: object) -> int | None:
    number = _integer(value)
    return number if number is not None and 0 <= number < 2**32 else None


_LARGEST: Final = 1e15
"""Prices are below it in amount, which leaves out infinity, NaN and numbers that no float holds."""


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and abs(value) < _LARGEST
    return float(value) if is_number and not isinstance(value, bool) else None  # type: ignore[arg-type]


_ORDER_FIELDS: Final[Mapping[str, Callable[[object], object]]] = {
    **dict.fromkeys(ORDER_TIMES, parse_time),
    "instrument_token": _token,
    **dict.fromkeys(_ORDER_TEXTS, _text),
    **dict.fromkeys(_ORDER_QUANTITIES, _integer),
    **dict.fromkeys(_ORDER_PRICES, _number),
}
