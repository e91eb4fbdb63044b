"""A relay's own access tokens: who may connect, and who gets order updates. Any thread.

The file has digests only, so that reading it is not enough to connect. It is read again whenever
it has changed: a token that is added or revoked counts at once.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError
from kitepolars.journal.folder import make_private, private
from kitepolars.journal.lock import FileLock
from kitepolars.secret import Secret
from kitepolars.server.handshake import Login, digest

TOKENS: Final = "relay.tokens"
"""The file in a recording's folder with the tokens of its relay."""

_TOKEN_BYTES: Final = 32
_TOKEN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class RelayToken:
    """What is known of a token that a relay has given out, without the token.

    Parameters
    ----------
    name
        Its name, which clients present as their API key.
    digest
        The SHA-256 digest of the token, as hexadecimal digits.
    orders
        Whether its clients get order updates and alerts.
    created
        When it was made, in Indian time (ISO 8601).

    Examples
    --------
    >>> RelayToken("laptop", "9f86d0…", orders=False, created="2026-11-27T09:00:00+05:30").name
    'laptop'
    """

    name: str
    digest: str
    orders: bool
    created: str


class RelayTokens:
    """The tokens of a folder's relay.

    Parameters
    ----------
    folder
        The recording's folder; the tokens are in its file ``relay.tokens`` (mode 0600).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tokens = RelayTokens(folder)
    ...     token = tokens.add("laptop")
    ...     print(token, [one.name for one in tokens.list()])
    … ['laptop']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._path = self.folder / TOKENS
        self._known: Mapping[str, RelayToken] = {}
        self._seen: tuple[int, int, int] | None = None

    def add(self, name: str, *, orders: bool = False) -> Secret:
        """Make a token and return it: afterwards, nothing can.

        Parameters
        ----------
        name
            A name for it, which clients present as their API key: letters, digits, ``_``, ``.``
            and ``-``.
        orders
            Whether its clients get order updates and alerts.

        Raises
        ------
        ConfigError
            When the name is taken, or is not such a name.
        """
        if not _TOKEN_NAME.fullmatch(name):
            raise ConfigError("name", name, "1 to 64 letters, digits, '_', '.' or '-'")
        token = Secret(secrets.token_urlsafe(_TOKEN_BYTES))
        made = dt.datetime.now(IST).isoformat(timespec="seconds")
        entry = RelayToken(name, digest(token.reveal()).hex(), orders, made)

        def add(known: Mapping[str, RelayToken]) -> dict[str, RelayToken]:
            if name in known:
                taken = f"{name} already has a token: revoke it first, or choose another name"
                raise ConfigError("name", name, message=taken)
            return {**known, name: entry}

        self._change(add)
        return token

    def revoke(self, name: str) -> None:
        """Make a token invalid; a relay that runs drops its clients within a second.

        Raises
        ------
        ConfigError
            When there is no token of that name.
        """

        def revoke(known: Mapping[str, RelayToken]) -> dict[str, RelayToken]:
            if name not in known:
                unknown = f"{name!r} has no token; there are: {', '.join(known) or 'none'}"
                raise ConfigError("name", name, message=unknown)
            return {other: token for other, token in known.items() if other != name}

        self._change(revoke)

    def list(self) -> tuple[RelayToken, ...]:
        """Return what is known of every token, by age."""
        return tuple(self._read().values())

    def find(self, login: Login) -> RelayToken | None:
        """Return the token that a client presents, or None if it is not valid."""
        token = self._read().get(login.api_key)
        presented = login.digest.hex()
        is_valid = hmac.compare_digest(presented, presented if token is None else token.digest)
        return token if is_valid else None

    def _change(
        self, change: Callable[[Mapping[str, RelayToken]], Mapping[str, RelayToken]]
    ) -> None:
        """Replace the file as a whole; one process at a time does."""
        make_private(self.folder)
        with FileLock(self._path.with_suffix(".lock")):
            known = change(self._read())
            unfinished = self._path.with_name(f".{TOKENS}")
            with open(unfinished, "w", encoding="utf-8", opener=private) as file:
                json.dump([asdict(token) for token in known.values()], file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)

    def _read(self) -> Mapping[str, RelayToken]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._known, self._seen = {}, None
            return self._known
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            try:
                entries = [RelayToken(**entry) for entry in json.loads(self._path.read_bytes())]
            except (ValueError, TypeError):
                raise ConfigError(
                    "tokens", str(self._path), "a file that this command wrote"
                ) from None
            self._known, self._seen = {token.name: token for token in entries}, seen
        return self._known
