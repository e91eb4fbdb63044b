"""The official client, unchanged, as a separate process: its reactor cannot run twice.

Arguments: the root URL, the API key, the access token, and the instrument tokens for ltp, quote and
full as JSON. Prints one JSON line: the last tick of each token, the order updates, and errors.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from kiteconnect import KiteTicker

root, api_key, access_token, wanted = *sys.argv[1:4], json.loads(sys.argv[4])
seen: dict[str, Any] = {"ticks": {}, "orders": [], "errors": []}
ticker = KiteTicker(api_key, access_token, root=root, reconnect=False)
modes = {token: mode for mode, tokens in wanted.items() for token in tokens}


def on_connect(ws: Any, response: object) -> None:  # noqa: ARG001
    ws.subscribe(list(modes))
    for mode, tokens in wanted.items():
        ws.set_mode(mode, tokens)


def on_ticks(ws: Any, ticks: list[dict[str, Any]]) -> None:  # noqa: ARG001
    seen["ticks"].update({tick["instrument_token"]: tick for tick in ticks})
    end_if_complete()


def on_order_update(ws: Any, order: dict[str, Any]) -> None:  # noqa: ARG001
    seen["orders"].append(order)
    end_if_complete()


def on_error(ws: Any, code: object, reason: object) -> None:  # noqa: ARG001
    seen["errors"].append(str(reason))


def on_close(ws: Any, code: object, reason: object) -> None:  # noqa: ARG001
    ticker.stop()


def end_if_complete() -> None:
    arrived = {token: tick["mode"] for token, tick in seen["ticks"].items()}
    if arrived == modes and seen["orders"]:
        ticker.close(1000, "seen enough")


def seconds(value: object) -> float:
    assert isinstance(value, datetime)
    return value.timestamp()  # the client's times are naive, in this machine's zone


ticker.on_connect = on_connect
ticker.on_ticks = on_ticks
ticker.on_order_update = on_order_update
ticker.on_error = on_error
ticker.on_close = on_close
ticker.connect()
print(json.dumps(seen, default=seconds))  # noqa: T201
