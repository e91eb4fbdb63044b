"""Assigns instruments to connections and derives the requests to send. Pure; loop thread.

`Planner` owns the desired state, ``{instrument_token: mode}``, and the connection of each
instrument. It does no I/O: every change returns a `Plan` for the manager to carry out.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from operator import index as as_int
from types import MappingProxyType

from kitepolars.errors import CapacityExceeded, UnknownInstrument
from kitepolars.feed.limits import Limits, instruments_per_opening, spread
from kitepolars.wire.control import TOKEN_RANGE
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


@dataclass(slots=True)
class _Place:
    """The planner's view of a connection: its instruments, and its state."""

    index: int
    account: int
    members: dict[int, Mode] = field(default_factory=dict)
    needed: bool = False
    is_open: bool = False
    is_lost: bool = False


class Planner:
    """Owns the desired state and the connection of every instrument. Loop thread only.

    The rules, over all accounts together:

    - New instruments go to the connections with the fewest, so that the loads are balanced.
      Subscribed instruments stay where they are.
    - The first connection of every account is opened at the start. A further one is opened
      for every `instruments_per_opening` instruments (1,000 with Kite's limits), on
      the account with the fewest: a handful stays on one connection, 2,001 are spread over
      three, 9,000 make 3 × 3,000.
    - An instrument always has a connection. If that is down, the instrument waits for it.
      If it is *lost*, its instruments are moved to open connections while there is room,
      those of the same account first. The rest wait until there is room or their
      connection is back. Moved instruments are not moved back.

    Parameters
    ----------
    accounts
        The number of accounts.
    limits
        The limits of each account.
    """

    def __init__(self, accounts: int, limits: Limits) -> None:
        self._limits = limits
        self._places = [
            _Place(index, index // limits.connections)
            for index in range(accounts * limits.connections)
        ]
        self._where: dict[int, _Place] = {}
        self._listed: Mapping[int, tuple[Mode, int]] | None = None

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, token: int) -> bool:
        return token in self._where

    @property
    def available(self) -> int:
        """Instruments that can still be subscribed, over all accounts."""
        return len(self._places) * self._limits.instruments_per_connection - len(self._where)

    @property
    def needed(self) -> tuple[int, ...]:
        """The connections that should be open."""
        return tuple(place.index for place in self._places if place.needed)

    def load(self, connection: int) -> int:
        """Return the number of instruments assigned to a connection."""
        return len(self._places[connection].members)

    def tokens(self, connection: int) -> tuple[int, ...]:
        """Return the instruments assigned to a connection."""
        return tuple(self._places[connection].members)

    def subscriptions(self) -> Mapping[int, tuple[Mode, int]]:
        """Return instrument token → mode and connection; the same object until that changes."""
        if self._listed is None:
            self._listed = MappingProxyType(
                {
                    token: (mode, place.index)
                    for place in self._places
                    for token, mode in place.members.items()
                }
            )
        return self._listed

    def start(self) -> Plan:
        """Require the first connection of every account; return all required ones as `opens`."""
        for place in self._places[:: self._limits.connections]:
            place.needed = True
        return Plan(opens=self.needed)

    def subscribe(self, tokens: Iterable[int], mode: Mode) -> Plan:
        """Subscribe instruments in a mode, or change the mode of those already subscribed.

        Raises
        ------
        CapacityExceeded
            When there is no room for the new ones. Nothing has been changed then.
        """
        wanted = dict.fromkeys(tokens)
        new = [token for token in wanted if token not in self._where]
        if len(new) > self.available:
            raise CapacityExceeded(len(new), self.available)
        changes = self._change_mode((token for token in wanted if token in self._where), mode)
        opens = self._open_for(len(new))
        return Plan(opens=opens, commands=(*changes, *self._settle(new, mode)))

    def set_mode(self, tokens: Iterable[int], mode: Mode) -> Plan:
        """Change the mode of subscribed instruments.

        Raises
        ------
        UnknownInstrument
            When one of them is not subscribed. Nothing has been changed then.
        """
        wanted = dict.fromkeys(tokens)
        for token in wanted:
            if token not in self._where:
                raise UnknownInstrument(str(token), hint="It is not subscribed: subscribe first.")
        return Plan(commands=self._change_mode(wanted, mode))

    def unsubscribe(self, tokens: Iterable[int]) -> Plan:
        """Drop instruments from the desired state; those that are not subscribed are ignored."""
        self._listed = None
        gone: dict[int, list[int]] = {}
        for token in dict.fromkeys(tokens):
            if (place := self._where.pop(token, None)) is not None:
                del place.members[token]
                gone.setdefault(place.index, []).append(token)
        commands = tuple(
            Command(index, Action.UNSUBSCRIBE, tuple(members))
            for index, members in gone.items()
            if self._places[index].is_open
        )
        rescue = self._rescue()
        return Plan(commands=(*commands, *rescue.commands), moves=rescue.moves)

    def opened(self, connection: int) -> Plan:
        """Mark a connection as open; return what brings it to the desired state."""
        place = self._places[connection]
        place.is_open, place.is_lost = True, False
        commands = _subscribe(connection, place.members)
        rescue = self._rescue()
        return Plan(commands=(*commands, *rescue.commands), moves=rescue.moves)

    def closed(self, connection: int) -> None:
        """Mark a connection as down; its instruments wait for it."""
        self._places[connection].is_open = False

    def lost(self, connection: int) -> Plan:
        """Mark a connection as lost; move the instruments for which others have room."""
        place = self._places[connection]
        place.is_open, place.is_lost = False, True
        return self._rescue()

    def revived(self, connection: int) -> None:
        """Mark a lost connection as usable again."""
        self._places[connection].is_lost = False

    def _change_mode(self, tokens: Iterable[int], mode: Mode) -> tuple[Command, ...]:
        self._listed = None
        changed: dict[int, list[int]] = {}
        for token in tokens:
            place = self._where[token]
            if place.members[token] is not mode:
                place.members[token] = mode
                changed.setdefault(place.index, []).append(token)
        return tuple(
            Command(index, Action.SET_MODE, tuple(members), mode)
            for index, members in changed.items()
            if self._places[index].is_open
        )

    def _open_for(self, count: int) -> tuple[int, ...]:
        """Require as many further connections as `count` new instruments need."""
        worth = -(-(len(self._where) + count) // instruments_per_opening(self._limits))
        opens: list[int] = []
        while True:
            short = self._room() < count
            if not short and len(self.needed) >= worth:
                break
            idle = [place for place in self._places if not place.needed]
            spare = [place for place in idle if not place.is_lost] or (idle if short else [])
            if not spare:
                break
            place = min(spare, key=self._in_use)
            place.needed = True
            opens.append(place.index)
        return tuple(opens)

    def _in_use(self, place: _Place) -> int:
        """Return how many connections of the account of a place are required already."""
        return sum(one.needed for one in self._places if one.account == place.account)

    def _room(self) -> int:
        """Return the room on connections that are required and not lost."""
        counted_on = [one for one in self._places if one.needed and not one.is_lost]
        limit = self._limits.instruments_per_connection
        return sum(limit - len(place.members) for place in counted_on)

    def _settle(self, tokens: list[int], mode: Mode) -> tuple[Command, ...]:
        """Assign new instruments, to lost connections only when all others are full."""
        waiting = iter(tokens)
        commands: list[Command] = []
        for lost in (False, True):
            group = [one for one in self._places if one.needed and one.is_lost is lost]
            for place, share in self._shares(group, operator.length_hint(waiting)):
                members = dict.fromkeys(islice(waiting, share), mode)
                commands.extend(self._take_in(place, members))
        return tuple(commands)

    def _rescue(self) -> Plan:
        """Move the instruments of lost connections to open ones, of the same account first."""
        commands: list[Command] = []
        moves: list[Move] = []
        for source in self._places:
            for own in (True, False) if source.is_lost and source.members else ():
                group = [
                    place
                    for place in self._places
                    if place.is_open and (place.account == source.account) is own
                ]
                for place, share in self._shares(group, len(source.members)):
                    members = dict(islice(source.members.items(), share))
                    for token in members:
                        del source.members[token]
                    commands.extend(self._take_in(place, members))
                    moves.append(Move(source.index, place.index, share))
        return Plan(commands=tuple(commands), moves=tuple(moves))

    def _shares(self, group: list[_Place], count: int) -> list[tuple[_Place, int]]:
        """Distribute `count` instruments over a group; places that get none are left out."""
        loads = [len(place.members) for place in group]
        shares = spread(loads, count, self._limits.instruments_per_connection)
        return [(place, share) for place, share in zip(group, shares, strict=True) if share]

    def _take_in(self, place: _Place, members: Mapping[int, Mode]) -> tuple[Command, ...]:
        self._listed = None
        place.members.update(members)
        self._where.update(dict.fromkeys(members, place))
        return _subscribe(place.index, members) if place.is_open else ()


def _subscribe(connection: int, members: Mapping[int, Mode]) -> tuple[Command, ...]:
    """Return the commands that subscribe instruments on a connection, one per mode."""
    by_mode: dict[Mode, list[int]] = {}
    for token, mode in members.items():
        by_mode.setdefault(mode, []).append(token)
    return tuple(
        Command(connection, Action.SUBSCRIBE, tuple(tokens), mode)
        for mode, tokens in by_mode.items()
    )


def plain_tokens(tokens: Iterable[int]) -> list[int]:
    """Return tokens as plain integers, which JSON needs; raise if one is invalid."""
    plain = [as_int(token) for token in tokens]
    if plain and not (min(plain) in TOKEN_RANGE and max(plain) in TOKEN_RANGE):
        wrong = next(token for token in plain if token not in TOKEN_RANGE)
        raise UnknownInstrument(str(wrong), hint="Instrument tokens are unsigned 32-bit numbers.")
    return plain
