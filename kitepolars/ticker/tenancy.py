"""Which tickers of this process hold the connections of an account. Any thread.

Kite allows three connections for an API key. A notebook's cell that is run
again makes a new ticker while the old one still holds them, and the new one
would be refused with 429 for reasons that nobody sees. So the newer ticker
takes the place of an older one with which it would need more than there are.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable
from typing import Final, Protocol

from kitepolars.feed.plan import Limits

CONNECTIONS_ALLOWED: Final = Limits().connections
"""Connections that Kite allows for an API key."""


class Tenant(Protocol):
    """A ticker, as far as this module knows it."""

    @property
    def is_running(self) -> bool:
        """Whether it holds connections."""
        ...

    @property
    def claims(self) -> dict[Hashable, int]:
        """Account → connections that it may open for it."""
        ...

    def give_way(self) -> None:
        """Stop, because another ticker needs its connections."""
        ...


_lock = threading.Lock()
_tenants: weakref.WeakSet[Tenant] = weakref.WeakSet()


def move_in(newcomer: Tenant) -> None:
    """Make older tickers give way with which `newcomer` would exceed what Kite allows.

    Parameters
    ----------
    newcomer
        The ticker that starts.
    """
    with _lock:
        others = [tenant for tenant in _tenants if tenant is not newcomer and tenant.is_running]
        _tenants.add(newcomer)
    for other in others:
        shared = newcomer.claims.keys() & other.claims.keys()
        if any(newcomer.claims[key] + other.claims[key] > CONNECTIONS_ALLOWED for key in shared):
            other.give_way()
