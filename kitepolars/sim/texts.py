"""The text messages that Kite sends. Pure functions; any thread."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kitepolars.sim.calendar import IST

__all__ = ["app_code", "error", "instruments_meta", "order"]

_SEPARATORS: Final = (",", ":")

_ORDER: Final[dict[str, Any]] = {
    "unfilled_quantity": 0,
    "app_id": 1234,
    "checksum": "",
    "exchange_order_id": "1000000001482421",
    "parent_order_id": None,
    "status": "COMPLETE",
    "status_message": None,
    "status_message_raw": None,
    "variety": "regular",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "instrument_token": 408065,
    "order_type": "MARKET",
    "transaction_type": "BUY",
    "validity": "DAY",
    "product": "CNC",
    "quantity": 1,
    "disclosed_quantity": 0,
    "price": 0,
    "trigger_price": 0,
    "average_price": 1573.7,
    "filled_quantity": 1,
    "pending_quantity": 0,
    "cancelled_quantity": 0,
    "market_protection": 0,
    "meta": {},
    "tag": None,
    "guid": "01XXXXXXXXXXXXX",
}
"""A filled market order, as it comes over the socket: ``account_id``, an empty checksum."""


def instruments_meta(instrument_tokens: npt.NDArray[np.int64]) -> str:
    """Say how many instruments there are, and a mark of which: first after a connect."""
    count = len(instrument_tokens)
    etag = f'W/"{zlib.crc32(instrument_tokens.tobytes()):08x}-{count:x}"'
    return _text({"type": "instruments_meta", "data": {"count": count, "etag": etag}})


def app_code(now: float) -> str:
    """Say what time it is: a message without data."""
    moment = datetime.fromtimestamp(int(now), UTC).astimezone(IST)
    return _text({"type": "app_code", "timestamp": moment.isoformat()})


def error(message: str) -> str:
    """Tell a client what was wrong with its request."""
    return _text({"type": "error", "data": message})


def order(user_id: str, order_id: str, now: float, fields: dict[str, Any]) -> str:
    """Tell of an order; ``fields`` replace or extend those of a filled market order."""
    moment = datetime.fromtimestamp(int(now), UTC).astimezone(IST)
    local = f"{moment:%Y-%m-%d %H:%M:%S}"  # Kite's order times carry no offset
    times = dict.fromkeys(
        ("order_timestamp", "exchange_update_timestamp", "exchange_timestamp"), local
    )
    who = {"account_id": user_id, "placed_by": user_id, "order_id": order_id}
    return _text({"type": "order", "id": "", "data": {**who, **_ORDER, **times, **fields}})


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=_SEPARATORS)
