"""Which handshakes the simulator accepts: the connection limit, expired tokens, scripted refusals.

No socket; the simulator's loop thread.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from kitepolars.server.handshake import Login, Refusal, digest, refusal

__all__ = ["EXPIRED_TOKEN", "Admission"]

EXPIRED_TOKEN: Final = "expired"  # noqa: S105 - not a secret
"""The access token that is always refused."""


class Admission:
    """Decides which handshakes are accepted.

    Parameters
    ----------
    connections
        The most connections of an API key at a time.
    """

    def __init__(self, connections: int) -> None:
        self._limit = connections
        self._seen: set[bytes] = set()
        self._expired = {digest(EXPIRED_TOKEN)}
        self._scripted: Refusal | None = None
        self._scripted_times: int | None = None

    def decide(self, login: Login, open_connections: Counter[str]) -> Refusal | None:
        """Return why a client may not connect, or None if it may."""
        scripted = self._next_scripted()
        if scripted is not None:
            return scripted
        if not login.is_complete:
            return refusal(400)
        self._seen.add(login.digest)
        if login.digest in self._expired:
            return refusal(403)
        if open_connections[login.api_key] >= self._limit:
            return refusal(429)
        return None

    def script(self, status: int, times: int | None, body: str | None) -> None:
        """Refuse the next `times` handshakes, or all until `accept`."""
        self._scripted, self._scripted_times = refusal(status, body), times

    def accept(self) -> None:
        """Stop refusing what `script` refuses."""
        self._scripted = self._scripted_times = None

    def expire(self) -> None:
        """From now on, refuse every access token presented so far."""
        self._expired |= self._seen

    def _next_scripted(self) -> Refusal | None:
        scripted = self._scripted
        if scripted is not None and self._scripted_times is not None:
            self._scripted_times -= 1
            if self._scripted_times <= 0:
                self.accept()
        return scripted
