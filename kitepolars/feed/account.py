"""Accounts, the secret they hold, and the URL made of both. Immutable; any thread.

The access token leaves its `Secret` in one place, `connection_url`, at the
moment of connecting.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from kitepolars.errors import ConfigError

HEADERS: Final = {"X-Kite-Version": "3"}
"""Sent with the handshake. Source: Kite Connect v3, "WebSocket streaming"."""

_TEXT: Final = "a printable text that is not empty"


class Secret:
    """A text that shows itself to nobody who does not ask for it by name.

    Parameters
    ----------
    value
        What to keep.

    Examples
    --------
    >>> token = Secret("hunter2")
    >>> token, f"{token}", str(token)
    (Secret('…'), '…', '…')
    >>> token.reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled: a pickle is a file with the token in it."""
        raise TypeError("a Secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials of one Kite Connect app for one day: up to 9,000 instruments.

    Parameters
    ----------
    name
        What you call it; it appears in `connections()`, `gaps()` and errors.
    api_key
        The app's key.
    access_token
        The token of today's login. It is kept as a `Secret`.

    Raises
    ------
    ConfigError
        When one of them is empty or no text.

    Examples
    --------
    >>> Account("main", "my_key", "my_token")
    Account(name='main')
    """

    name: str
    api_key: str = field(repr=False)
    access_token: str | Secret = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _filled("name", self.name))
        object.__setattr__(self, "api_key", _hidden("api_key", self.api_key).reveal())
        object.__setattr__(self, "access_token", _hidden("access_token", self.access_token))

    @property
    def secret(self) -> Secret:
        """The access token, always wrapped."""
        token = self.access_token
        return token if isinstance(token, Secret) else Secret(token)

    def redact(self, text: str) -> str:
        """Return a text without this account's credentials, as they are and percent-encoded."""
        for value, shortest in ((self.secret.reveal(), 4), (self.api_key, 8)):
            if len(value) >= shortest:  # what is shorter is made up, and would mangle words
                text = text.replace(value, "…").replace(quote(value, safe=""), "…")
        return text


def connection_url(base: str, account: Account) -> str:
    """Return the URL to connect to. It holds the token: never keep, show or log it.

    Parameters
    ----------
    base
        The server, ``wss://ws.kite.trade/``; parameters that it has are kept.
    account
        Whose credentials to put in.

    Examples
    --------
    >>> connection_url("wss://ws.kite.trade", Account("main", "key", "a/b+c"))
    'wss://ws.kite.trade/?api_key=key&access_token=a%2Fb%2Bc'
    """
    parts = urlsplit(base)
    credentials = (
        f"api_key={quote(account.api_key, safe='')}"
        f"&access_token={quote(account.secret.reveal(), safe='')}"
    )
    query = f"{parts.query}&{credentials}" if parts.query else credentials
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))


def public_url(base: str) -> str:
    """Return the server's address without parameters, fit for showing.

    Raises
    ------
    ConfigError
        When it is no ``ws://`` or ``wss://`` URL with a host, or holds a password or a fragment.
    """
    wanted = "a ws:// or wss:// URL with a host and neither password nor fragment"
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"ws", "wss"} and parts.hostname and "@" not in parts.netloc
        _ = parts.port
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable or parts.fragment:
        # the URL is not shown: people paste credentials into it
        raise ConfigError("url", Secret(str(base)), wanted)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))


def is_loopback(url: str) -> bool:
    """Say whether a URL leads to this machine, where no proxy has a place."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _filled(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(name, value, _TEXT)
    return value.strip()


def _hidden(name: str, value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    stripped = text.strip() if isinstance(text, str) else ""  # a pasted token ends in a newline
    if not stripped or not stripped.isprintable():
        raise ConfigError(name, Secret(str(text)), _TEXT)
    return Secret(stripped)
