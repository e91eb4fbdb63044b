"""Where an alert can be sent: to a web address, or to the desktop. Each on its own thread.

Only the standard library: its HTTP client keeps no log, so that an address, which often is a
credential, is written nowhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kitepolars.alerting.rows import FiredAlert
from kitepolars.errors import ConfigError
from kitepolars.secret import Secret, as_secret

_ANSWER_TIMEOUT: Final = 10.0
"""Seconds that a server may take to answer."""


def text_of(fired: FiredAlert) -> str:
    """Return what a message says.

    Examples
    --------
    >>> import datetime as dt
    >>> from kitepolars.alerting.rows import FiredAlert
    >>> text_of(FiredAlert(dt.datetime(2026, 11, 20, 9, 31, 5), "breakout", 1, "NSE:INFY", 1500.5))
    'breakout: NSE:INFY 1,500.50 at 09:31:05'
    """
    price = "" if fired.price is None else f" {fired.price:,.2f}"
    return f"{fired.name}: {fired.symbol or ''}{price} at {fired.fired_at:%H:%M:%S}"


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: only the configured address gets messages."""

    def redirect_request(self, *_: Any) -> None:
        return None


_open: Final = build_opener(_NoRedirect).open


class Webhook:
    """Sends alerts to a web address as JSON: Slack, Discord, Telegram, a server of yours.

    Pass it as ``notify=`` of `Ticker.alert`, or to `Ticker.on_alert`. What cannot be sent is
    reported in `Ticker.events`, without the address.

    Parameters
    ----------
    url
        Where to, such as ``"https://hooks.slack.com/services/…"``. It is treated as a credential
        and shown nowhere.
    field
        The field of the JSON object that has the message: ``"text"`` for Slack and Telegram,
        ``"content"`` for Discord.
    extra
        Further fields, such as ``{"chat_id": "12345"}`` for Telegram.

    Raises
    ------
    ConfigError
        If the address does not begin with ``https://``, or ``http://`` for this machine.

    Examples
    --------
    >>> Webhook("https://hooks.slack.com/services/T0/B0/secret")
    Webhook('hooks.slack.com')
    """

    def __init__(
        self, url: str | Secret, *, field: str = "text", extra: Mapping[str, object] | None = None
    ) -> None:
        secret = as_secret(url)
        del url  # a traceback may show the locals of any frame
        host = _host(secret)
        self._url = secret
        self._host = host
        self._field = field
        self._extra = dict(extra or {})

    def __call__(self, fired: FiredAlert) -> None:
        """Send an alert.

        Parameters
        ----------
        fired
            What fired.

        Raises
        ------
        ConnectionError
            If the server cannot be reached or refuses it; without the address.
        """
        body = json.dumps({**self._extra, self._field: text_of(fired)}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "kitepolars"}
        failure = ""
        try:
            request = Request(self._url.reveal(), body, headers)  # noqa: S310 - see `_host`
            with _open(request, timeout=_ANSWER_TIMEOUT) as answer:
                answer.read(1)
        except HTTPError as error:
            error.close()
            failure = f"it answered {error.code}"
        except (OSError, ValueError) as error:
            failure = type(error).__name__
        if failure:  # out of the handler: a chained error would show the request
            raise ConnectionError(f"a message could not be sent to {self._host}: {failure}")

    def __repr__(self) -> str:
        return f"Webhook({self._host!r})"


def _host(url: Secret) -> str:
    """Return the host of an address."""
    try:
        parts = urlsplit(url.reveal())
        host = parts.hostname or ""
    except (ValueError, AttributeError, TypeError):
        host = ""
    is_local = host in {"127.0.0.1", "localhost", "::1"}
    if not host or (parts.scheme != "https" and not (is_local and parts.scheme == "http")):
        raise ConfigError("url", "…", 'an address that begins with "https://"')
    return host


class Desktop:
    """Shows alerts as notifications of the desktop on which this process runs.

    Linux needs ``notify-send`` (libnotify); macOS has what it takes. A notebook whose kernel runs
    elsewhere shows nothing on your screen: use a `Webhook`.

    Raises
    ------
    ConfigError
        If this system has no such command.

    Examples
    --------
    >>> import kitepolars as kp
    >>> ticker = kp.sample()
    >>> try:
    ...     _ = ticker.alert(kp.change() > 5, notify=kp.Desktop())
    ... except kp.ConfigError:
    ...     print("no desktop here")  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._command = _desktop_command()

    def __call__(self, fired: FiredAlert) -> None:
        """Show an alert.

        Parameters
        ----------
        fired
            What fired.

        Raises
        ------
        ConnectionError
            If the desktop does not take it.
        """
        command = self._command("Kite", text_of(fired))
        done = subprocess.run(command, check=False, capture_output=True, timeout=_ANSWER_TIMEOUT)  # noqa: S603
        if done.returncode:
            raise ConnectionError(f"{command[0]} ended with {done.returncode}")

    def __repr__(self) -> str:
        return "Desktop()"


def _notify_send(title: str, text: str) -> list[str]:
    return ["notify-send", "--app-name=kitepolars", "--", title, text]


def _osascript(title: str, text: str) -> list[str]:
    script = (
        "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
    )
    return ["osascript", "-e", script, title, text]


def _desktop_command() -> Callable[[str, str], list[str]]:
    """Return what makes the command line of a notification on this system."""
    found = _osascript if sys.platform == "darwin" else _notify_send
    if shutil.which(found("", "")[0]) is None:
        message = f"no {found('', '')[0]} here: this system shows no notifications to commands"
        raise ConfigError("notify", "Desktop()", message=message)
    return found
