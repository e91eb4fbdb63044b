"""Every connection of every account: the asynchronous core. All of it on the loop thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from kitepolars.errors import AuthenticationError
from kitepolars.feed.account import Account
from kitepolars.feed.plan import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.feed.records import (
    ConnectionStatus,
    Event,
    EventLog,
    FeedStats,
    Gap,
    OrderUpdate,
    Sink,
)
from kitepolars.wire.layouts import Mode


class TickerManager:
    """The feed. The signatures stand; the inside follows in the next commits."""

    def __init__(
        self,
        accounts: Sequence[Account],
        *,
        sink: Sink,
        url: str = "wss://ws.kite.trade/",
        limits: Limits | None = None,
        reconnect: ReconnectPolicy | None = None,
        events: EventLog | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """AuthenticationError, ConnectionLost; idempotent; may follow stop()."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Return within about 1.5 s; idempotent."""
        raise NotImplementedError

    @property
    def is_running(self) -> bool:
        """Between start() and stop()."""
        raise NotImplementedError

    def subscribe(self, tokens: Collection[int], mode: Mode) -> None:
        """CapacityExceeded before anything is sent or changed."""
        raise NotImplementedError

    def unsubscribe(self, tokens: Collection[int]) -> None:
        """Tokens that are not subscribed are passed over."""
        raise NotImplementedError

    def set_mode(self, tokens: Collection[int], mode: Mode) -> None:
        """UnknownInstrument, with a hint, when one is not subscribed; nothing changed then."""
        raise NotImplementedError

    def set_access_token(self, token: str, account: str | None = None) -> None:
        """ConfigError for an unknown account, or None with several accounts."""
        raise NotImplementedError

    def subscriptions(self) -> Mapping[int, tuple[Mode, int]]:
        """Token → (mode, connection index)."""
        raise NotImplementedError

    def connections(self) -> tuple[ConnectionStatus, ...]:
        """Every connection that has been needed so far, by index."""
        raise NotImplementedError

    def stats(self) -> FeedStats:
        """Counters over all connections."""
        raise NotImplementedError

    def orders(self) -> tuple[OrderUpdate, ...]:
        """Distinct order updates, oldest first."""
        raise NotImplementedError

    def events(self) -> tuple[Event, ...]:
        """Return the latest events, oldest first."""
        raise NotImplementedError

    def gaps(self) -> tuple[Gap, ...]:
        """Every hole in the data, by its start."""
        raise NotImplementedError

    def error(self, account: str) -> AuthenticationError | None:
        """Why an account is expired, or None."""
        raise NotImplementedError

    def on_order(self, listener: Callable[[OrderUpdate], None]) -> Callable[[], None]:
        """Call on the loop thread with each distinct order update; returns what ends it."""
        raise NotImplementedError

    def on_event(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call on the loop thread with each event; returns what ends it."""
        raise NotImplementedError

    def on_state(self, listener: Callable[[ConnectionStatus], None]) -> Callable[[], None]:
        """Call on the loop thread when a connection changes its state; returns what ends it."""
        raise NotImplementedError
