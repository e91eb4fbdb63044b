"""What the planner returns: the work that a change entails. Immutable data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kitepolars.wire.layouts import Mode


class Action(StrEnum):
    """What a command asks of the server."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    SET_MODE = "mode"


@dataclass(frozen=True, slots=True)
class Command:
    """Something to send on one open connection, for any number of instruments.

    Parameters
    ----------
    connection
        Index of the connection.
    action
        What to do.
    tokens
        For which instruments.
    mode
        In which mode; None for an unsubscribe.
    """

    connection: int
    action: Action
    tokens: tuple[int, ...]
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Instruments that went from a lost connection to an open one."""

    source: int
    target: int
    instruments: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The work that a change entails, in order.

    Parameters
    ----------
    opens
        Connections that are needed from now on.
    commands
        What to send on those that are open.
    moves
        Which instruments changed their place.
    """

    opens: tuple[int, ...] = ()
    commands: tuple[Command, ...] = ()
    moves: tuple[Move, ...] = ()
