"""What stands at one moment of a journal: a fold of its records."""

from __future__ import annotations

from kitepolars.source import (
    ConnectionChanged,
    Listing,
    Lost,
    MessageBlock,
    Messages,
    Record,
    SnapshotsExpected,
    Stopped,
    Subscribed,
    Unsubscribed,
)
from kitepolars.wire.layouts import Mode


class Standing:
    """The listing, connections and subscriptions of a moment, which the next segment begins with.

    Examples
    --------
    >>> standing = Standing()
    >>> standing.take(Subscribed(1, Mode.FULL, (408065, 884737)))
    >>> standing.take(Unsubscribed(2, (884737,)))
    >>> standing.records(at=3)
    [Subscribed(at=3, mode=<Mode.FULL: 'full'>, instrument_tokens=(408065,))]
    """

    def __init__(self) -> None:
        self.listing: Listing | None = None
        self.modes: dict[int, Mode] = {}
        """Instrument token → mode."""
        self.is_stopped = True
        """Whether the source was stopped on purpose, or has yet to begin."""
        self._connections: dict[int, int] = {}  # instrument token → connection
        self._states: dict[int, ConnectionChanged] = {}

    def take(self, record: Record) -> None:
        """Take the next record."""
        self.is_stopped = isinstance(record, Stopped)
        if isinstance(record, Messages | MessageBlock):  # nearly all; irrelevant here
            return
        match record:
            case Subscribed():
                self.modes |= dict.fromkeys(record.instrument_tokens, record.mode)
            case Unsubscribed():
                for token in record.instrument_tokens:
                    self.modes.pop(token, None)
            case SnapshotsExpected():
                self._connections |= dict.fromkeys(record.instrument_tokens, record.connection)
            case Listing():
                self.listing = record
            case ConnectionChanged():
                self._states[record.connection] = record

    def connections(self) -> list[ConnectionChanged]:
        """Return the state of each connection."""
        return list(self._states.values())

    def records(self, at: int) -> list[Record]:
        """Return the connections and the subscriptions as records of a time."""
        connections = [state._replace(at=at) for state in self._states.values()]
        by_mode = [Subscribed(at, mode, tokens) for mode in Mode if (tokens := self._tokens(mode))]
        return [*connections, *by_mode]

    def lost(self, at: int, since: int, reason: str) -> list[Lost]:
        """Return the beginning of a gap of every instrument, a record for each connection."""
        by_connection: dict[int, list[int]] = {}
        for token in self.modes:
            by_connection.setdefault(self._connections.get(token, 0), []).append(token)
        return [
            Lost(at, connection, self._account(connection), since, reason, tuple(tokens))
            for connection, tokens in sorted(by_connection.items())
        ]

    def _account(self, connection: int) -> str:
        state = self._states.get(connection)
        return "" if state is None else state.account

    def _tokens(self, mode: Mode) -> tuple[int, ...]:
        return tuple(token for token, wanted in self.modes.items() if wanted is mode)
