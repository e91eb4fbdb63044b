"""The façade: names, threads, DataFrames. Every method of `Ticker` works from any thread.

`core` starts and stops, subscribes and hands out ticks; `waiting` waits for
them; `analysis` answers questions about them; `streaming` passes them on;
`views` shows them.
"""

from __future__ import annotations

from typing import Any, Self

from kitepolars.feed.account import Account
from kitepolars.ticker.core import KITE_URL
from kitepolars.ticker.stats import Stats
from kitepolars.ticker.streaming import Streaming
from kitepolars.ticker.views import Views
from kitepolars.ticker.waiting import Waiting

__all__ = ["KITE_URL", "Stats", "Ticker"]


class Ticker(Waiting, Streaming, Views):
    """Kite's live ticks as growing Polars DataFrames.

    Parameters
    ----------
    api_key, access_token
        Credentials of one account; the token is never shown.
    accounts
        Several accounts instead: 9,000 instruments each.
    url
        The streaming endpoint.
    limits
        Connections an account and instruments a connection.
    reconnect
        How lost connections are opened again.
    retention
        How much history is kept. By default all of it.
    flush
        How long messages wait to be decoded together.
    instruments
        The list that gives names to tokens, or a path to the dump's CSV.
    default_mode
        The mode of a subscribe that names none.

    Raises
    ------
    ConfigError
        When a setting is wrong. Nothing is started or sent here.

    Examples
    --------
    >>> ticker = Ticker("my_api_key", "my_access_token")
    >>> ticker
    <Ticker: stopped, 0 instruments, 0 ticks>
    """

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Return a ticker for the account in ``KITE_API_KEY`` and ``KITE_ACCESS_TOKEN``.

        A ``.env`` file in this folder or above it is read too, if ``python-dotenv`` is there.

        Parameters
        ----------
        settings
            As for `Ticker`.

        Raises
        ------
        ConfigError
            When one of them is missing; it names the variable.
        """
        from kitepolars.rest import credentials_from_env  # noqa: PLC0415 - loaded on use

        return cls(accounts=[credentials_from_env()], **settings)

    @classmethod
    def from_kite(cls, kite: Any, **settings: Any) -> Self:
        """Return a ticker for the account of an official `kiteconnect.KiteConnect` object.

        Parameters
        ----------
        kite
            An object with ``api_key`` and ``access_token``, logged in.
        settings
            As for `Ticker`.

        Raises
        ------
        ConfigError
            When it has no access token yet.
        """
        return cls(accounts=[Account("default", kite.api_key, kite.access_token)], **settings)
