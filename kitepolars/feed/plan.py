"""Which instrument is on which connection, and what to send for it. Pure; loop thread.

`Planner` owns the desired state, ``{instrument_token: mode}``, and each
instrument's place. It does no I/O: every change returns a `Plan`, the work
that someone else does. All of the feed's decisions about instruments are here.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Final

from kitepolars.errors import CapacityExceeded, ConfigError, UnknownInstrument
from kitepolars.feed.commands import Action, Command, Move, Plan
from kitepolars.wire.layouts import Mode

MAX_PLACES: Final = 256
"""Connections over all accounts: their index is a UInt8 column of a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What Kite allows per account (API key). Source: Kite Connect v3, "WebSocket streaming".

    Parameters
    ----------
    connections
        WebSocket connections at the same time; a further one is refused with HTTP 429.
    instruments_per_connection
        Instruments on one connection; further ones are ignored by the server.

    Raises
    ------
    ConfigError
        When a value is out of range.

    Examples
    --------
    >>> Limits().connections * Limits().instruments_per_connection
    9000
    """

    connections: int = 3
    instruments_per_connection: int = 3000

    def __post_init__(self) -> None:
        for name in ("connections", "instruments_per_connection"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigError(name, value, "a whole number of at least 1")
        if self.connections > MAX_PLACES:
            raise ConfigError("connections", self.connections, f"at most {MAX_PLACES}")

    @property
    def instruments_per_opening(self) -> int:
        """The number of instruments per opened connection: 1,000 with Kite's limits."""
        return -(-self.instruments_per_connection // self.connections)


@dataclass(slots=True)
class _Place:
    """One connection as the planner sees it: its instruments, and whether it can serve them."""

    index: int
    account: int
    members: dict[int, Mode] = field(default_factory=dict)
    needed: bool = False
    is_open: bool = False
    is_lost: bool = False


def spread(loads: Collection[int], count: int, limit: int) -> list[int]:
    """Return how many of `count` instruments each connection gets, so that all end up level.

    Parameters
    ----------
    loads
        How many instruments each connection has.
    count
        How many to add. What does not fit is left out.
    limit
        How many each connection may have.

    Examples
    --------
    >>> spread([0, 0, 0], 9_000, limit=3_000)
    [3000, 3000, 3000]
    >>> spread([10, 2, 5], 6, limit=3_000)
    [0, 5, 1]
    """
    if not loads:
        return []
    low, high = min(loads), limit
    while low < high:  # the highest level to which all can be filled
        level = (low + high + 1) // 2
        fits = sum(max(0, level - load) for load in loads) <= count
        low, high = (level, high) if fits else (low, level - 1)
    shares = [max(0, low - load) for load in loads]
    rest = count - sum(shares)
    for n, load in enumerate(loads):
        if rest and load <= low < limit:
            shares[n] += 1
            rest -= 1
    return shares


class Planner:
    """Owns the desired state and the place of every instrument. Loop thread only.

    The rules, over all accounts together:

    - New instruments go to the connections that have the fewest, so that all are level.
      What is subscribed stays where it is.
    - Every account's first connection is opened at the start. One more is opened for
      every `Limits.instruments_per_opening` instruments (1,000 with Kite's limits), on
      the account that has the fewest: a handful stays on one connection, 2,001 are
      spread over three, 9,000 make 3 × 3,000.
    - An instrument always has a place. On a connection that is down it waits there. When
      a connection is *lost*, its instruments move to open ones while there is room,
      those of its own account first; the rest wait, and move when room is made or come
      back with their connection. Moved instruments stay where they went.

    Parameters
    ----------
    accounts
        How many accounts there are.
    limits
        What each of them allows.
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
        """Free places over all accounts."""
        return len(self._places) * self._limits.instruments_per_connection - len(self._where)

    @property
    def needed(self) -> tuple[int, ...]:
        """The connections that are to be open."""
        return tuple(place.index for place in self._places if place.needed)

    def load(self, connection: int) -> int:
        """Return how many instruments have their place on a connection."""
        return len(self._places[connection].members)

    def tokens(self, connection: int) -> tuple[int, ...]:
        """Return the instruments that have their place on a connection."""
        return tuple(self._places[connection].members)

    def subscriptions(self) -> Mapping[int, tuple[Mode, int]]:
        """Return instrument token → mode and connection index; one object until that changes."""
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
        """Need every account's first connection, and say which are needed in all."""
        for place in self._places[:: self._limits.connections]:
            place.needed = True
        return Plan(opens=self.needed)

    def subscribe(self, tokens: Iterable[int], mode: Mode) -> Plan:
        """Want instruments in a mode; those that are subscribed in another one change it.

        Raises
        ------
        CapacityExceeded
            When there is no room for those that are new. Nothing has changed then.
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
            When one of them is not subscribed. Nothing has changed then.
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
        """Take note that a connection is open: bring it to the desired state of this moment."""
        place = self._places[connection]
        place.is_open, place.is_lost = True, False
        commands = _subscribe(connection, place.members)
        rescue = self._rescue()
        return Plan(commands=(*commands, *rescue.commands), moves=rescue.moves)

    def closed(self, connection: int) -> None:
        """Take note that a connection is down; its instruments wait for its return."""
        self._places[connection].is_open = False

    def lost(self, connection: int) -> Plan:
        """Take note that a connection will not be back soon: move what others have room for."""
        place = self._places[connection]
        place.is_open, place.is_lost = False, True
        return self._rescue()

    def revived(self, connection: int) -> None:
        """Take note that a lost connection may be counted on again."""
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
        """Need as many further connections as `count` new instruments are worth."""
        worth = -(-(len(self._where) + count) // self._limits.instruments_per_opening)
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
        """Count the connections that the account of a place needs already."""
        return sum(one.needed for one in self._places if one.account == place.account)

    def _room(self) -> int:
        """Count the free places on connections that are needed and can be counted on."""
        counted_on = [one for one in self._places if one.needed and not one.is_lost]
        limit = self._limits.instruments_per_connection
        return sum(limit - len(place.members) for place in counted_on)

    def _settle(self, tokens: list[int], mode: Mode) -> tuple[Command, ...]:
        """Give new instruments their places, on lost connections only when all others are full."""
        waiting = iter(tokens)
        commands: list[Command] = []
        for lost in (False, True):
            group = [one for one in self._places if one.needed and one.is_lost is lost]
            for place, share in self._shares(group, operator.length_hint(waiting)):
                members = dict.fromkeys(islice(waiting, share), mode)
                commands.extend(self._take_in(place, members))
        return tuple(commands)

    def _rescue(self) -> Plan:
        """Move the instruments of lost connections to open ones, their own account's first."""
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
        """Spread `count` instruments over a group; places that get none are left out."""
        loads = [len(place.members) for place in group]
        shares = spread(loads, count, self._limits.instruments_per_connection)
        return [(place, share) for place, share in zip(group, shares, strict=True) if share]

    def _take_in(self, place: _Place, members: Mapping[int, Mode]) -> tuple[Command, ...]:
        self._listed = None
        place.members.update(members)
        self._where.update(dict.fromkeys(members, place))
        return _subscribe(place.index, members) if place.is_open else ()


def _subscribe(connection: int, members: Mapping[int, Mode]) -> tuple[Command, ...]:
    """Return the commands that subscribe instruments on a connection, one for each mode."""
    by_mode: dict[Mode, list[int]] = {}
    for token, mode in members.items():
        by_mode.setdefault(mode, []).append(token)
    return tuple(
        Command(connection, Action.SUBSCRIBE, tuple(tokens), mode)
        for mode, tokens in by_mode.items()
    )
