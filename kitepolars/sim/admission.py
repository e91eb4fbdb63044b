"""Who may connect: credentials, the connection limit, and scripted refusals.

Pure but for its own state; the server's thread. Access tokens are kept only as
digests, to know again those that have expired.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

__all__ = ["EXPIRED_TOKEN", "Admission", "Credentials", "Refusal", "parse_credentials"]

EXPIRED_TOKEN: Final = "expired"  # noqa: S105 - it stands for a token, and is none
"""The access token that is refused from the start."""

_ERROR_TYPES: Final = {400: "InputException", 403: "TokenException", 429: "NetworkException"}
_MESSAGES: Final = {
    400: "Missing or invalid `api_key` or `access_token`.",
    403: "Incorrect `api_key` or `access_token`.",
    429: "Too many connections.",
}


@dataclass(frozen=True)
class Refusal:
    """A handshake's answer other than success.

    Parameters
    ----------
    status
        The HTTP status.
    body
        Its body; Kite's JSON, or HTML, or nothing.
    """

    status: int
    body: str

    @property
    def reason(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown"

    @property
    def content_type(self) -> str:
        """The body's media type."""
        return "application/json" if self.body.startswith("{") else "text/html; charset=utf-8"


def refusal(status: int, body: str | None = None) -> Refusal:
    """Refuse as Kite does: JSON where it answers itself, HTML where its proxies do."""
    if body is not None:
        return Refusal(status, body)
    if status in _MESSAGES:
        document = {
            "status": "error",
            "message": _MESSAGES[status],
            "error_type": _ERROR_TYPES[status],
        }
        return Refusal(status, json.dumps(document))
    return Refusal(status, f"<html><body><h1>{status}</h1></body></html>")


class Credentials:
    """What a client presented. The token itself is not kept.

    Parameters
    ----------
    api_key, access_token
        Empty if missing.
    """

    __slots__ = ("api_key", "digest", "is_complete", "says_expired")

    def __init__(self, api_key: str, access_token: str) -> None:
        self.api_key = api_key
        self.digest = hashlib.sha256(access_token.encode()).digest()
        self.is_complete = bool(api_key and access_token)
        self.says_expired = access_token == EXPIRED_TOKEN


def parse_credentials(path: str) -> Credentials:
    """Read the query of a request's path.

    Examples
    --------
    >>> parse_credentials("/?api_key=key&access_token=secret").api_key
    'key'
    """
    query = parse_qs(urlsplit(path).query)
    keys, tokens = query.get("api_key", []), query.get("access_token", [])
    if len(keys) != 1 or len(tokens) != 1:
        return Credentials("", "")
    return Credentials(keys[0], tokens[0])


class Admission:
    """Decides handshakes.

    Parameters
    ----------
    connections
        How many connections an API key may hold at once.
    """

    def __init__(self, connections: int) -> None:
        self._limit = connections
        self._seen: set[bytes] = set()
        self._expired: set[bytes] = set()
        self._scripted: Refusal | None = None
        self._scripted_times: int | None = None

    def decide(self, credentials: Credentials, open_connections: Counter[str]) -> Refusal | None:
        """Return why a client may not connect, or None if it may."""
        scripted = self._next_scripted()
        if scripted is not None:
            return scripted
        if not credentials.is_complete:
            return refusal(400)
        self._seen.add(credentials.digest)
        if credentials.says_expired or credentials.digest in self._expired:
            return refusal(403)
        if open_connections[credentials.api_key] >= self._limit:
            return refusal(429)
        return None

    def script(self, status: int, times: int | None, body: str | None) -> None:
        """Refuse the coming handshakes, so many of them or until `accept`."""
        self._scripted, self._scripted_times = refusal(status, body), times

    def accept(self) -> None:
        """End what `script` began."""
        self._scripted = self._scripted_times = None

    def expire(self) -> None:
        """Refuse every token that was presented so far, from now on."""
        self._expired |= self._seen

    def _next_scripted(self) -> Refusal | None:
        scripted = self._scripted
        if scripted is not None and self._scripted_times is not None:
            self._scripted_times -= 1
            if self._scripted_times <= 0:
                self.accept()
        return scripted
