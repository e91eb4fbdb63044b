"""One connection's subscriptions, as Kite keeps them. No socket, no clock; the server's thread."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from kitepolars.wire.layouts import Mode

__all__ = ["Request", "Session"]

_TOKEN_LIMIT: Final = 1 << 32
_NOTHING: Final = ""


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Parameters
    ----------
    connection
        The connection's number.
    action
        ``"subscribe"``, ``"unsubscribe"``, ``"mode"``, or empty if it is none of them.
    tokens
        The instrument tokens in it, as they came; strings are left out.
    mode
        The mode asked for, in a mode request.
    text
        The message itself.
    """

    connection: int
    action: str
    tokens: tuple[int, ...]
    mode: Mode | None
    text: str


class Session:
    """Desired instruments and modes of one connection, and what is owed to it.

    Parameters
    ----------
    connection
        The connection's number.
    api_key, user_id
        Whose it is.
    limit
        How many places it has. Each token in a subscribe request takes one,
        a repeated one again; an unsubscribe gives all of a token's back.
    """

    def __init__(self, connection: int, api_key: str, user_id: str, *, limit: int) -> None:
        self.connection = connection
        self.api_key = api_key
        self.user_id = user_id
        self.limit = limit
        self.modes: dict[int, Mode] = {}
        self.snapshots_owed: set[int] = set()
        self.version = 0
        self._places: Counter[int] = Counter()
        self._taken = 0

    def receive(self, text: str | bytes) -> tuple[Request, str | None]:
        """Obey a message, whatever it holds.

        Returns
        -------
        request
            What was understood.
        error
            What to tell the client, if anything.
        """
        request = self._parse(text)
        if request.action == "subscribe":
            return request, self._subscribe(request.tokens)
        if request.action == "unsubscribe":
            self._unsubscribe(request.tokens)
        elif request.mode is not None:
            self._set_mode(request.mode, request.tokens)
        return request, None

    def _subscribe(self, tokens: Iterable[int]) -> str | None:
        error = None
        for token in tokens:
            if self._taken >= self.limit:
                error = f"Can't subscribe to more than {self.limit} instruments"
                break
            self._places[token] += 1
            self._taken += 1
            self.modes[token] = Mode.QUOTE
            self.snapshots_owed.add(token)
        self.version += 1
        return error

    def _unsubscribe(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self._taken -= self._places.pop(token, 0)
            self.modes.pop(token, None)
            self.snapshots_owed.discard(token)
        self.version += 1

    def _set_mode(self, mode: Mode, tokens: Iterable[int]) -> None:
        self.modes.update({token: mode for token in tokens if token in self.modes})
        self.version += 1

    def _parse(self, text: str | bytes) -> Request:
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        match _json(shown):
            case {"a": "mode", "v": [str(mode), list(tokens)]} if mode in set(Mode):
                return Request(self.connection, "mode", _numbers(tokens), Mode(mode), shown)
            case {"a": "subscribe" | "unsubscribe" as action, "v": list(tokens)}:
                return Request(self.connection, action, _numbers(tokens), None, shown)
        return Request(self.connection, _NOTHING, (), None, shown)


def _json(text: str) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None  # a client that sends this is not answered
    return document


def _numbers(values: list[Any]) -> tuple[int, ...]:
    """Keep the JSON numbers that can be tokens: strings silently yield nothing."""
    return tuple(value for value in values if type(value) is int and 0 <= value < _TOKEN_LIMIT)
