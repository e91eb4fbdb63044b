"""The request to a new recorder, passed in two parts. No other I/O.

The access tokens come through a pipe, the recorder's standard input: arguments and environment
of a process can be read by others, and a file outlives it. Everything else, which may be large,
waits in a file of the journal's folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from kitepolars.feed.account import Account, redact
from kitepolars.feed.limits import Limits
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.journal.folder import make_private, private
from kitepolars.wire.control import KITE_URL
from kitepolars.wire.layouts import Mode

REQUEST: Final = "recorder.request"
"""The file in a journal's folder with what a recorder that starts is asked for."""

READY: Final = "recording"
"""The first line of a recorder that records; any other first line is the reason why it does not."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to record, without credentials.

    Parameters
    ----------
    url
        The server.
    subscriptions
        Instrument token → mode.
    listing
        The instruments of the day, as Kite's CSV dump; empty if they are not known.
    limits
        What Kite allows per account.
    reconnect
        Delays and time-outs.
    publish
        The table of days to publish to meanwhile; empty for none.
    """

    url: str = KITE_URL
    subscriptions: Mapping[int, Mode] = field(default_factory=dict)
    listing: bytes = b""
    limits: Limits = field(default_factory=Limits)
    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    publish: str = ""

    def save(self, folder: Path) -> None:
        """Put it where the recorder of a folder looks for it."""
        make_private(folder)
        by_mode = {mode: [t for t, m in self.subscriptions.items() if m is mode] for mode in Mode}
        head = {
            "url": self.url,
            "subscriptions": by_mode,
            "limits": asdict(self.limits),
            "reconnect": asdict(self.reconnect),
            "publish": self.publish,
        }
        path = folder / REQUEST
        with open(path.with_name(f".{REQUEST}"), "wb", opener=private) as file:
            file.write(json.dumps(head).encode() + b"\n" + self.listing)
        path.with_name(f".{REQUEST}").replace(path)

    @classmethod
    def take(cls, folder: Path) -> Request:
        """Read what was saved, and remove it.

        Raises
        ------
        ValueError
            When it is malformed.
        FileNotFoundError
            When nothing was saved.
        """
        path = folder / REQUEST
        head, _, listing = path.read_bytes().partition(b"\n")
        path.unlink()
        values: dict[str, Any] = json.loads(head)
        return cls(
            url=values["url"],
            subscriptions={
                token: Mode(mode)
                for mode, tokens in values["subscriptions"].items()
                for token in tokens
            },
            listing=listing,
            limits=Limits(**values["limits"]),
            reconnect=ReconnectPolicy(**values["reconnect"]),
            publish=values["publish"],
        )


def credentials(accounts: Sequence[Account]) -> bytes:
    """Return accounts as one line, for a pipe and nothing else."""
    revealed = [
        {"name": one.name, "api_key": one.api_key, "access_token": one.access_token.reveal()}
        for one in accounts
    ]
    return json.dumps(revealed).encode() + b"\n"


def without_credentials(
    environment: Mapping[str, str], accounts: Sequence[Account]
) -> dict[str, str]:
    """Return an environment without credentials.

    Parameters
    ----------
    environment
        Such as `os.environ`. Variables whose names start with ``KITE_`` are left out, the secret of
        the app among them, and those that contain a credential of the accounts.
    accounts
        The accounts.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("KITE_")
        and all(redact(value, account) == value for account in accounts)
    }


def read_credentials(handle: int) -> list[Account]:
    """Read accounts from a pipe, up to its end.

    Raises
    ------
    ValueError
        When what comes is no such line. The text of the error has nothing of it.
    """
    with os.fdopen(handle, "rb", closefd=False) as pipe:
        line = pipe.readline()
    try:
        return [Account(**values) for values in json.loads(line)]
    except (ValueError, TypeError):
        raise ValueError("the credentials on standard input are malformed") from None
