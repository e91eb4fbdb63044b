"""The accounts of a running feed: what the connections of each share. Loop thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from kitepolars.errors import AuthenticationError, ConfigError, ConnectionLost, KitePolarsError
from kitepolars.feed.account import Account, redact
from kitepolars.secret import Secret
from kitepolars.source import ConnectionState

if TYPE_CHECKING:
    from kitepolars.feed.link import Link

GATE_PATIENCE: Final = 1.0
"""Seconds for which a handshake waits for another while the account has a connection."""


@dataclass(slots=True, eq=False)
class AccountInUse:
    """An account, and what its connections share.

    Parameters
    ----------
    credentials
        The current ones.
    error
        Why they were rejected; while it is set they are not tried again.
    live
        The number of open connections.
    gate
        Serialises handshakes, so that bad credentials are tried only once.
    links
        Its connections, open or not.
    """

    credentials: Account
    error: AuthenticationError | None = None
    live: int = 0
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    links: list[Link] = field(default_factory=list)

    def reset(self) -> None:
        """Clear the error, and bind to the running event loop."""
        self.error, self.live, self.gate = None, 0, asyncio.Lock()

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[None]:
        """Wait for the gate; not for long while a connection is open.

        A handshake that hangs then is hardly the fault of the credentials.
        """
        admitted = False
        try:
            async with asyncio.timeout(GATE_PATIENCE if self.live else None):
                admitted = await self.gate.acquire()
        except TimeoutError:
            pass
        try:
            yield
        finally:
            if admitted:
                self.gate.release()

    def failure(self) -> KitePolarsError | None:
        """Return why the account has no connection and tries none any more, or None."""
        if self.error is not None:
            return AuthenticationError(str(self.error))
        wanted = [link for link in self.links if link.is_wanted]
        if wanted and all(link.state is ConnectionState.FAILED for link in wanted):
            return self.connection_lost("attempts exhausted")
        return None

    def connection_lost(self, what: str) -> ConnectionLost:
        """Return the error for an account without a connection, with the latest cause."""
        attempts = max(1, *(link.attempts for link in self.links))
        reasons = [link.failure.reason for link in self.links if link.failure is not None]
        reason = reasons[-1] if reasons else "no answer"
        message = f"account {self.credentials.name!r}: {what} ({reason})"
        error = ConnectionLost(message, attempts=attempts)
        error.__cause__ = ConnectionError(reason)
        return error


class Accounts:
    """The accounts of a feed by name, and every credential that they have had.

    Parameters
    ----------
    accounts
        One or more, with distinct names.
    """

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._by_name = {account.name: AccountInUse(account) for account in accounts}
        self._redacted = list(accounts)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[AccountInUse]:
        return iter(self._by_name.values())

    @property
    def names(self) -> list[str]:
        """Their names, in order."""
        return list(self._by_name)

    def named(self, name: str | None) -> AccountInUse:
        """Return an account; the name is needed only when there are several.

        Raises
        ------
        ConfigError
            When there is none of that name, or it is not given and there are several.
        """
        if name is None and len(self) == 1:
            return next(iter(self))
        if name is None or name not in self._by_name:
            raise ConfigError("account", name, f"one of {', '.join(map(repr, self.names))}")
        return self._by_name[name]

    def renew(self, account: AccountInUse, token: Secret) -> None:
        """Use a new access token, and forget that the former one was rejected."""
        account.credentials, account.error = replace(account.credentials, access_token=token), None
        self._redacted.append(account.credentials)

    def redact(self, text: str) -> str:
        """Return a text without any credential, former ones included."""
        for account in self._redacted:
            text = redact(text, account)
        return text

    def unconnected(self) -> list[AccountInUse]:
        """Return the accounts that have no open connection."""
        return [account for account in self if not account.live]
