"""The planner's output: the requests and connections that a change needs. Immutable data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kitepolars.wire.layouts import Mode


class Action(StrEnum):
    """The kind of a request to the server."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SET_MODE = "mode"


@dataclass(frozen=True, slots=True)
class Command:
    """A request to send on an open connection, for any number of instruments.

    Parameters
    ----------
    connection
        Index of the connection.
    action
        The kind of request.
    tokens
        The instruments.
    mode
        The mode; None for an unsubscribe.
    """

    connection: int
    action: Action
    tokens: tuple[int, ...]
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Instruments that were moved from a lost connection to an open one."""

    source: int
    target: int
    instruments: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change needs, in order.

    Parameters
    ----------
    opens
        Connections to open.
    commands
        Requests to send on open connections.
    moves
        Instruments that were moved.
    """

    opens: tuple[int, ...] = ()
    commands: tuple[Command, ...] = ()
    moves: tuple[Move, ...] = ()
