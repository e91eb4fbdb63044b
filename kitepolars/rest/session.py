"""The login: the address to visit, and the session that results. Any thread."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from kitepolars.calendar import IST, in_india
from kitepolars.errors import ConfigError, KitePolarsError
from kitepolars.feed.account import Account
from kitepolars.rest.client import API, Client, Pace
from kitepolars.secret import Secret, as_secret
from kitepolars.wire.control import parse_time

LOGIN: Final = "https://kite.zerodha.com/connect/login"
"""The page of the login. Source: Kite Connect v3, "User"."""

API_KEY_VARIABLE: Final = "KITE_API_KEY"
"""The environment variable of the app's key."""

ACCESS_TOKEN_VARIABLE: Final = "KITE_ACCESS_TOKEN"  # noqa: S105 -- the name of a variable
"""The environment variable of today's access token."""

_EXPIRY: Final = time(6)
_LOGIN_PACE: Final = Pace(1)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login that Kite has accepted. It expires at about 06:00 IST.

    Parameters
    ----------
    user_id
        The user, such as ``"AB1234"``.
    user_name
        The user's name; empty where Kite gives none.
    login_time
        The time of the login, in IST; None if Kite's response has no possible time.
    exchanges
        The exchanges on which the user may trade.
    api_key
        The app's key.
    access_token
        The token for all requests of the day, as a `Secret`.
    received_at
        When Kite's response arrived, in IST.
    """

    user_id: str
    user_name: str = ""
    login_time: datetime | None
    exchanges: tuple[str, ...] = ()
    api_key: str = field(repr=False)
    access_token: Secret = field(repr=False)
    received_at: datetime = field(
        default_factory=lambda: datetime.now(IST), repr=False, compare=False
    )

    @property
    def expires_at(self) -> datetime:
        """The next 06:00 IST after the login, at about which it expires."""
        login = self.login_time or self.received_at
        days = 1 if login.time() >= _EXPIRY else 0
        return datetime.combine(login.date() + timedelta(days=days), _EXPIRY, IST)

    def account(self, name: str | None = None) -> Account:
        """Return the account to give to ``kp.Ticker(accounts=[…])``.

        Parameters
        ----------
        name
            Its name in frames; the user's id by default.

        Returns
        -------
        Account
            With the key and the token of this session.

        Raises
        ------
        ConfigError
            If `name` is empty or not printable.
        """
        return Account(name or self.user_id, self.api_key, self.access_token)


def login_url(api_key: str) -> str:
    """Return the address at which a user logs in.

    Afterwards the browser is sent to the app's redirect URL with a
    ``request_token`` in it; give that to `generate_session` within minutes.

    Parameters
    ----------
    api_key
        The app's key.

    Returns
    -------
    str
        An ``https`` address of Zerodha, to open in a browser.

    Raises
    ------
    ConfigError
        If it is empty.

    Examples
    --------
    >>> login_url("my_key")
    'https://kite.zerodha.com/connect/login?v=3&api_key=my_key'
    """
    return f"{LOGIN}?v=3&api_key={quote(_filled('api_key', api_key).reveal(), safe='')}"


def generate_session(
    api_key: str, api_secret: str | Secret, request_token: str | Secret, *, url: str = API
) -> Session:
    """Turn the login's ``request_token`` into a session. Needs the extra ``http``.

    Parameters
    ----------
    api_key
        The app's key.
    api_secret
        The app's secret. It is not sent, only a checksum of it.
    request_token
        What the browser came back with: the token, or the whole address. It is good
        for one use and some minutes.
    url
        The root of the API.

    Returns
    -------
    Session
        The access token is in it, hidden; valid until its `expires_at`.

    Raises
    ------
    AuthenticationError
        If Kite refuses it.
    ConnectionLost
        If Kite cannot be reached.
    ConfigError
        If something is empty, or the address has no token in it.
    ImportError
        If ``httpx`` is not installed.
    KitePolarsError
        If Kite's response is invalid.

    Notes
    -----
    Source: Kite Connect v3, "User": the checksum is the SHA-256 of api_key +
    request_token + api_secret.
    """
    # From here on no local variable shows what it holds, whatever is raised.
    api_secret, request_token = as_secret(api_secret), as_secret(request_token)
    api_key = _filled("api_key", api_key).reveal()
    form = _form(api_key, api_secret, request_token)
    with Client(url, pace=_LOGIN_PACE) as client:
        return _session(api_key, client.post("/session/token", form))


def credentials_from_env(*, dotenv: bool = True) -> Account:
    """Return the account in ``KITE_API_KEY`` and ``KITE_ACCESS_TOKEN``.

    Parameters
    ----------
    dotenv
        Whether to look also into a ``.env`` file in this folder or above it, if
        ``python-dotenv`` is installed. The environment itself comes first and is not
        changed.

    Raises
    ------
    ConfigError
        If one of them is missing or empty; it names the variable.
    """
    known = (_dotenv() if dotenv else {}) | _secrets(os.environ)
    key, token = (_variable(known, name) for name in (API_KEY_VARIABLE, ACCESS_TOKEN_VARIABLE))
    return Account("default", key, token)


def _dotenv() -> dict[str, Secret]:
    try:
        from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 -- an extra
    except ImportError:
        return {}
    path = find_dotenv(usecwd=True)
    return _secrets(dotenv_values(path)) if path else {}


def _secrets(variables: Mapping[str, str | None]) -> dict[str, Secret]:
    """Return the variables that are set, hidden: tracebacks may show local variables."""
    return {name: Secret(value) for name, value in variables.items() if value and value.strip()}


def _variable(known: Mapping[str, Secret], name: str) -> Secret:
    if name not in known:
        absent = f"{name} is set neither in the environment nor in a .env file"
        raise ConfigError(name, None, message=absent)
    return known[name]


def _form(api_key: str, api_secret: Secret, request_token: Secret) -> dict[str, str | Secret]:
    token, secret = _request_token(request_token), _filled("api_secret", api_secret)
    checksum = hashlib.sha256(f"{api_key}{token.reveal()}{secret.reveal()}".encode()).hexdigest()
    return {"api_key": api_key, "request_token": token, "checksum": Secret(checksum)}


def _request_token(pasted: Secret) -> Secret:
    """Return the request token in what was pasted: the token itself, or the whole address."""
    if "://" not in pasted.reveal():
        return _filled("request_token", pasted)
    return _filled("request_token", Secret(_parameter(pasted.reveal(), "request_token")))


def _parameter(url: str, name: str) -> str:
    return parse_qs(urlsplit(url.strip()).query).get(name, [""])[0]


def _filled(name: str, value: str | Secret) -> Secret:
    """Return a text without surrounding whitespace."""
    secret = as_secret(value)
    if _has_text(secret.reveal()):
        return Secret(secret.reveal().strip())
    raise ConfigError(name, value, "a non-empty string")


def _has_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _indian_time(text: object) -> datetime | None:
    """Return a time in IST. A login is not lost because of an impossible time."""
    time_us = parse_time(text)
    return None if time_us is None else in_india(time_us)


def _session(api_key: str, data: Any) -> Session:
    try:
        return Session(
            user_id=str(data["user_id"]),
            user_name=str(data.get("user_name") or ""),
            login_time=_indian_time(data.get("login_time")),
            exchanges=tuple(map(str, data.get("exchanges") or ())),
            api_key=api_key,
            access_token=Secret(str(data["access_token"])),
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        data = None  # it may hold the token, and tracebacks may show it
        raise KitePolarsError("/session/token: Kite's response is invalid") from None
