"""Which instrument is on which connection, and what to send for it. Pure; loop thread."""

from __future__ import annotations

from dataclasses import dataclass

from kitepolars.errors import ConfigError

MAX_CONNECTIONS = 255


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
