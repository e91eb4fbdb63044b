"""Text messages: requests to the server, and messages from it. Pure; any thread.

Requests are JSON with tokens as numbers; Kite silently ignores tokens sent as strings. Messages
from the server are untrusted: `parse` never raises, and its result is bounded and printable.
Source: Kite Connect v3, "WebSocket streaming", and answers of Zerodha's staff on the Kite forum.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from kitepolars.wire.layouts import Mode

KITE_URL: Final = "wss://ws.kite.trade/"
"""The WebSocket endpoint of Kite Connect v3. Source: "WebSocket streaming"."""

TOKENS_PER_REQUEST: Final = 500
"""The most tokens per request. No limit is documented; other clients send 200 to 500."""

MAX_TEXT: Final = 65_536
"""Longer text messages are not parsed. An order update has about 1,500 characters."""

MAX_DETAIL: Final = 500
"""Characters of a text that are kept for display."""


TOKEN_RANGE: Final = range(2**32)
"""What an instrument token can be."""

ORDER_TIMES: Final = ("order_timestamp", "exchange_update_timestamp", "exchange_timestamp")
"""The fields of an order that are times."""

YEARS: Final = range(2000, 2100)
"""The years that a time from outside may be in. Kite has sent 0000; 1970 is a clock at 0."""

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_RELAYED: Final = ('{"type":"gap",', '{"type":"snapshots",')
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class TextKind(StrEnum):
    """The kinds of text messages; ``UNKNOWN`` is everything else."""

    ORDER = "order"
    ERROR = "error"
    MESSAGE = "message"
    INSTRUMENTS_META = "instruments_meta"
    APP_CODE = "app_code"
    GAP = "gap"
    """Of a relay: instruments may have missed ticks."""
    SNAPSHOTS = "snapshots"
    """Of a relay: the next packets of instruments are cached values."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A text message from the server.

    Parameters
    ----------
    kind
        Its kind.
    detail
        Its content, printable and at most `MAX_DETAIL` characters long.
    order
        For ``TextKind.ORDER``, the fields of the order as sent.
    canonical
        The order as JSON with sorted keys; equal for every delivery of the same update.
    instrument_tokens
        The instruments that a relay's message is about.
    since
        For ``TextKind.GAP``, the last message before it, in microseconds since the Unix epoch, UTC.
    """

    kind: TextKind
    detail: str
    order: Mapping[str, Any] | None = None
    canonical: str = ""
    instrument_tokens: tuple[int, ...] = ()
    since: int = 0


def batches(tokens: Iterable[int]) -> Iterator[list[int]]:
    """Split tokens into lists of at most `TOKENS_PER_REQUEST`, in order.

    Examples
    --------
    >>> [len(batch) for batch in batches(range(1_200))]
    [500, 500, 200]
    """
    waiting = iter(tokens)
    while batch := list(islice(waiting, TOKENS_PER_REQUEST)):
        yield batch


def subscribe(tokens: list[int]) -> str:
    """Return the request that subscribes instruments; the server starts them in quote mode.

    Examples
    --------
    >>> subscribe([408065, 884737])
    '{"a":"subscribe","v":[408065,884737]}'
    """
    return _request("subscribe", tokens)


def unsubscribe(tokens: list[int]) -> str:
    """Return the request that unsubscribes instruments.

    Examples
    --------
    >>> unsubscribe([408065])
    '{"a":"unsubscribe","v":[408065]}'
    """
    return _request("unsubscribe", tokens)


def set_mode(mode: Mode, tokens: list[int]) -> str:
    """Return the request that sets the mode of subscribed instruments.

    Examples
    --------
    >>> set_mode(Mode.FULL, [408065])
    '{"a":"mode","v":["full",[408065]]}'
    """
    return _request("mode", [mode.value, tokens])


def printable(text: str, limit: int = MAX_DETAIL) -> str:
    r"""Return a text from the server, truncated and with control characters escaped.

    Examples
    --------
    >>> printable("margin \x1b[31mcall\n", limit=9)
    'margin \\x…'
    """
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[: limit + 1]
    )
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def parse(text: str) -> TextMessage:
    """Parse a text message from the server. Never raises.

    Parameters
    ----------
    text
        The message as received, of any size and content.

    Returns
    -------
    TextMessage
        Unknown types, invalid JSON and oversized texts are ``TextKind.UNKNOWN``.

    Examples
    --------
    >>> parse('{"type": "error", "data": "Too many instruments"}').detail
    'Too many instruments'
    >>> parse("not JSON").kind
    <TextKind.UNKNOWN: 'unknown'>
    """
    if len(text) > MAX_TEXT:
        return TextMessage(TextKind.UNKNOWN, printable(text))
    try:
        message = json.loads(text)
        if not isinstance(message, dict):
            return TextMessage(TextKind.UNKNOWN, printable(text))
        return _read(message, text)
    except (ValueError, RecursionError):  # invalid JSON, numbers too long, nested too deeply
        return TextMessage(TextKind.UNKNOWN, printable(text))


def parse_time(value: object) -> int | None:
    """Return a time of an order in microseconds since the Unix epoch, UTC, or None.

    Parameters
    ----------
    value
        ``"2026-11-20 10:15:30"``, or ISO 8601 with a ``T``, fractions or an offset. Without an
        offset it is Indian time. What is another form, no day of the calendar, or in a year that
        is not in `YEARS`, is None.

    Examples
    --------
    >>> parse_time("2026-11-20 10:15:30") == parse_time("2026-11-20T04:45:30Z")
    True
    >>> parse_time("0000-01-01 09:35:36"), parse_time("29-Jun-2026 09:35:36")
    (None, None)
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:  # no such day, hour or minute
        return None
    if time.year not in YEARS:
        return None
    time = time if time.tzinfo is not None else time.replace(tzinfo=_INDIA)
    return (time - _EPOCH) // _MICROSECOND


def unreadable_times(order: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an order that should be times and are not: name → text, printable."""
    texts = {name: order.get(name) for name in ORDER_TIMES}
    return {
        name: printable(str(value), limit=40)
        for name, value in texts.items()
        if value not in (None, "") and parse_time(value) is None
    }


def gap(since: int, reason: str, instrument_tokens: list[int]) -> str:
    """Return the message with which a relay opens a gap. Kite has none like it.

    Examples
    --------
    >>> gap(1_795_494_600_000_000, "closed", [408065])
    '{"type":"gap","data":{"since":1795494600000000,"reason":"closed","instrument_tokens":[408065]}}'
    """
    return _relayed(
        TextKind.GAP, {"since": since, "reason": reason, "instrument_tokens": instrument_tokens}
    )


def snapshots(instrument_tokens: list[int]) -> str:
    """Return the message of a relay before cached values that clients did not ask for."""
    return _relayed(TextKind.SNAPSHOTS, {"instrument_tokens": instrument_tokens})


def is_relayed(text: str) -> bool:
    """Return whether a message may be one of a relay, without parsing it."""
    return text.startswith(_RELAYED)


def _relayed(kind: TextKind, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind.value, "data": data}, separators=(",", ":"))


def _request(action: str, value: list[Any]) -> str:
    return json.dumps({"a": action, "v": value}, separators=(",", ":"))


def _read(message: dict[str, Any], text: str) -> TextMessage:
    data = message.get("data")
    match message.get("type"):
        case TextKind.ORDER if isinstance(data, dict):
            return _order(data)
        case TextKind.ERROR | TextKind.MESSAGE | TextKind.INSTRUMENTS_META as kind:
            return TextMessage(TextKind(kind), _show(data))
        case TextKind.APP_CODE:
            return TextMessage(TextKind.APP_CODE, _show(message.get("timestamp", data)))
        case TextKind.GAP | TextKind.SNAPSHOTS as kind if (told := _told(kind, data)) is not None:
            return told
        case _:
            return TextMessage(TextKind.UNKNOWN, printable(text))


def _told(kind: str, data: object) -> TextMessage | None:
    """Return what a relay says about instruments, or None if it is malformed."""
    match data:
        case {"instrument_tokens": [*tokens], "since": int(since), "reason": str(reason)}:
            detail = f"{len(tokens):,} instruments: {reason}"
        case {"instrument_tokens": [*tokens]} if kind == TextKind.SNAPSHOTS:
            detail, since = f"{len(tokens):,} instruments", 0
        case _:
            return None
    if not (all(type(token) is int and token in TOKEN_RANGE for token in tokens) and since >= 0):
        return None
    return TextMessage(
        TextKind(kind), printable(detail), instrument_tokens=tuple(tokens), since=since
    )


def _order(data: dict[str, Any]) -> TextMessage:
    canonical = json.dumps(data, sort_keys=True)
    if "\\ud" in canonical:  # an unpaired surrogate: valid JSON, but not valid Unicode
        whole = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        data = json.loads(whole)
    named = (str(data.get(field, "")) for field in ("order_id", "tradingsymbol", "status"))
    return TextMessage(TextKind.ORDER, printable(" ".join(named)), data, canonical)


def _show(data: object) -> str:
    return printable(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False))
