"""Who is connected to a relay: clients, those that want the same, and gaps they have to know.

Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import ServerConnection

from kitepolars.frames.index import TokenIndex
from kitepolars.relay.packets import Levels, level_of
from kitepolars.relay.upstream import padded
from kitepolars.server.clients import ConnectedClient, Subscriptions
from kitepolars.server.handshake import Login
from kitepolars.wire.layouts import Mode

Key = frozenset[tuple[int, Mode]]
"""What a client wants: instrument token and mode."""


class RelayClient(ConnectedClient):
    """A client of a relay.

    Parameters
    ----------
    subscriptions
        What it has subscribed.
    socket
        The WebSocket.
    login
        What it presented.
    gets_orders
        Whether it gets order updates and alerts.
    write_buffer
        The most bytes that may wait for it before it is dropped.
    on_drop
        Called with the client when it is dropped because it reads too slowly.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        socket: ServerConnection,
        *,
        login: Login,
        gets_orders: bool,
        write_buffer: int,
        on_drop: Callable[[RelayClient], None],
    ) -> None:
        super().__init__(subscriptions, socket, write_buffer=write_buffer)
        self.login = login
        self.gets_orders = gets_orders
        self.malformed = 0
        self.group: Group | None = None
        self._on_drop = on_drop

    def too_slow(self) -> None:
        """Drop the client, and say so in an event."""
        super().too_slow()
        self._on_drop(self)


class Group:
    """The clients that want the same.

    Parameters
    ----------
    key
        What they want.
    levels
        The same by slot.
    """

    def __init__(self, key: Key, levels: Levels) -> None:
        self.key = key
        self.levels = levels
        self.clients: set[RelayClient] = set()

    def cover(self, slots: int) -> Levels:
        """Return the levels, extended to at least this number of slots."""
        self.levels = padded(self.levels, slots)
        return self.levels

    def wants(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return which of some slots' instruments are wanted."""
        return self.cover(int(slots.max(initial=-1)) + 1)[slots] > 0


class Groups:
    """The groups of all clients.

    Parameters
    ----------
    index
        Gives each instrument its slot.
    """

    def __init__(self, index: TokenIndex) -> None:
        self._index = index
        self._groups: dict[Key, Group] = {}

    def all(self) -> tuple[Group, ...]:
        """Return every group that has a client."""
        return tuple(self._groups.values())

    def join(self, client: RelayClient) -> Group:
        """Put a client into the group of those that want the same as it does now."""
        self.leave(client)
        modes = client.subscriptions.modes
        key = frozenset(modes.items())
        if key not in self._groups:
            slots = self._index.slots(np.fromiter(modes, np.uint32, len(modes)))
            levels = np.zeros(len(self._index), np.uint8)
            levels[slots] = [level_of(mode) for mode in modes.values()]
            self._groups[key] = Group(key, levels)
        group = client.group = self._groups[key]
        group.clients.add(client)
        return group

    def leave(self, client: RelayClient) -> None:
        """Take a client out of its group, if it is in one."""
        group, client.group = client.group, None
        if group is not None:
            group.clients.discard(client)
            if not group.clients:
                del self._groups[group.key]

    def highest(self) -> Levels:
        """Return, by slot, the most that any client wants."""
        size = len(self._index)
        levels = [group.cover(size) for group in self._groups.values()]
        highest: Levels = np.maximum.reduce([np.zeros(size, np.uint8), *levels])
        return highest


class OpenGaps:
    """The instruments without a packet since a loss, for clients that come meanwhile."""

    def __init__(self) -> None:
        self._since = np.zeros(0, np.int64)  # by slot; 0: none

    def lose(self, slots: npt.NDArray[np.int32], since: int) -> None:
        """Open a gap that begins with the last message before it."""
        self._cover(slots)
        self._since[slots] = since

    def arrived(self, slots: npt.NDArray[np.int32]) -> None:
        """End the gaps of instruments that a packet has come of."""
        self._cover(slots)
        self._since[slots] = 0

    def of(self, slots: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return, for each slot, the last message before the loss, or 0."""
        self._cover(slots)
        return self._since[slots]

    def _cover(self, slots: npt.NDArray[np.int32]) -> None:
        if (missing := int(slots.max(initial=-1)) + 1 - len(self._since)) > 0:
            more = max(missing, len(self._since))
            self._since = np.concatenate([self._since, np.zeros(more, np.int64)])
