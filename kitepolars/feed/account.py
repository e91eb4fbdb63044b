"""Accounts, and the URL to connect to. Immutable; any thread.

The access token leaves its `Secret` in one place, `handshake_query`, at the moment of connecting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from kitepolars.errors import ConfigError
from kitepolars.feed.limits import MAX_PLACES, Limits
from kitepolars.secret import Secret, as_secret, is_this_machine, redacted

HEADERS: Final = {"X-Kite-Version": "3"}
"""Sent with the handshake. Source: Kite Connect v3, "WebSocket streaming"."""

_CREDENTIALS: Final = frozenset({"api_key", "access_token"})
"""Parameters of the handshake's query that come from an `Account`, never from a URL."""

_PRINTABLE: Final = "a non-empty printable string"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Account:
    """Credentials of one Kite Connect app for one day: up to 9,000 instruments.

    Parameters
    ----------
    name
        Your name for it, shown in `connections()`, `gaps()` and errors.
    api_key
        The app's key.
    access_token
        The access token of today's login, kept as a `Secret`.

    Raises
    ------
    ConfigError
        When one of them is empty or not a string.

    Examples
    --------
    >>> Account("main", "my_key", "my_token")
    Account(name='main')
    """

    name: str
    api_key: str
    access_token: Secret

    def __init__(self, name: str, api_key: str | Secret, access_token: str | Secret) -> None:
        # Tracebacks may show the locals of any frame: from here on these show nothing.
        key, access_token = as_secret(api_key), as_secret(access_token)
        del api_key
        object.__setattr__(self, "name", _filled("name", name))
        object.__setattr__(self, "api_key", _usable("api_key", key).reveal())
        object.__setattr__(self, "access_token", _usable("access_token", access_token))

    def __repr__(self) -> str:
        return f"Account(name={getattr(self, 'name', None)!r})"


def redact(text: str, account: Account) -> str:
    """Return a text without an account's credentials, however JSON or a URL spells them."""
    for value, shortest in ((account.access_token.reveal(), 4), (account.api_key, 8)):
        if len(value) >= shortest:  # what is shorter is made up, and would mangle words
            text = redacted(text, value)
    return text


def handshake_query(query: str, account: Account) -> str:
    """Return the query of a handshake. It contains the token: never keep, show or log it.

    Parameters
    ----------
    query
        The query of the server's URL; its parameters are kept.
    account
        The credentials to add.

    Examples
    --------
    >>> handshake_query("user_id=AB1234", Account("main", "key", "a/b+c"))
    'user_id=AB1234&api_key=key&access_token=a%2Fb%2Bc'
    """
    own = [query] if query else []
    return "&".join(
        (
            *own,
            f"api_key={quote(account.api_key, safe='')}",
            f"access_token={quote(account.access_token.reveal(), safe='')}",
        )
    )


def public_url(base: str) -> str:
    """Return the server's address without parameters, safe to display.

    Raises
    ------
    ConfigError
        When it is no ``ws://`` or ``wss://`` URL with a host, or contains a password, a fragment
        or credentials; and for ``ws://`` to another machine, because the handshake carries the
        access token.
    """
    wanted = "a ws:// or wss:// URL with a host, without password, fragment or credentials"
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"ws", "wss"} and parts.hostname and "@" not in parts.netloc
        _ = parts.port
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable or parts.fragment or not _CREDENTIALS.isdisjoint(parse_qs(parts.query)):
        # the URL is not shown: people paste credentials into it
        raise ConfigError("url", Secret(str(base)), wanted)
    shown = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))
    if parts.scheme == "ws" and not is_loopback(base):
        raise ConfigError("url", shown, "encrypted (wss://) beyond this machine")
    return shown


def is_loopback(url: str) -> bool:
    """Return whether a URL points to this machine, where no proxy is used."""
    return is_this_machine(urlsplit(url).hostname or "")


def check_accounts(accounts: Sequence[Account], limits: Limits) -> None:
    """Raise ConfigError unless there are accounts, with distinct names, and not too many."""
    names = [account.name for account in accounts]
    if not accounts:
        raise ConfigError("accounts", names, message="accounts is empty: pass at least one")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        twice = f"several accounts are named {', '.join(repeated)}: give each its own name"
        raise ConfigError("accounts", names, message=twice)
    most = MAX_PLACES // limits.connections
    if len(accounts) > most:
        raise ConfigError("accounts", len(accounts), f"at most {most}")


def _filled(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(name, value, _PRINTABLE)
    return value.strip()


def _usable(name: str, secret: Secret) -> Secret:
    """Return a secret without surrounding whitespace: a pasted token ends in a newline."""
    if not _is_usable(secret.reveal()):
        raise ConfigError(name, secret, _PRINTABLE)
    return Secret(secret.reveal().strip())


def _is_usable(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.strip().isprintable()
