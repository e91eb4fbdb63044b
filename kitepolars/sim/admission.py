"""Which handshakes are accepted: credentials, the connection limit, scripted refusals.

No socket; the simulator's loop thread. Access tokens are kept as digests only, to recognise those
that have expired.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

__all__ = ["EXPIRED_TOKEN", "Admission", "Login", "Refusal"]

EXPIRED_TOKEN: Final = "expired"  # noqa: S105 - not a secret
"""The access token that is always refused."""

_ERROR_TYPES: Final = {400: "InputException", 403: "TokenException", 429: "NetworkException"}
_MESSAGES: Final = {
    400: "Missing or invalid `api_key` or `access_token`.",
    403: "Incorrect `api_key` or `access_token`.",
    429: "Too many connections.",
}


@dataclass(frozen=True)
class Refusal:
    """The answer to a handshake that is not accepted.

    Parameters
    ----------
    status
        The HTTP status.
    body
        JSON as Kite sends it, HTML, or nothing.
    """

    status: int
    body: str

    def response(self) -> Response:
        """Return the HTTP response."""
        body = self.body.encode()
        is_json = self.body.startswith("{")
        headers = Headers(
            {
                "Connection": "close",
                "Content-Type": "application/json" if is_json else "text/html; charset=utf-8",
                "Content-Length": str(len(body)),
            }
        )
        known = self.status in set(HTTPStatus)
        return Response(
            self.status, HTTPStatus(self.status).phrase if known else "Unknown", headers, body
        )


def refusal(status: int, body: str | None = None) -> Refusal:
    """Refuse as Kite does: its servers answer in JSON, the proxies before them in HTML."""
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


class Login:
    """The credentials that a client presents in the URL. The access token itself is not kept.

    Parameters
    ----------
    path
        The path of the request, with its query.

    Examples
    --------
    >>> Login("/?api_key=key&access_token=secret").api_key
    'key'
    """

    __slots__ = ("api_key", "digest", "is_complete", "says_expired")

    def __init__(self, path: str) -> None:
        query = parse_qs(urlsplit(path).query)
        keys, tokens = query.get("api_key", []), query.get("access_token", [])
        self.is_complete = len(keys) == len(tokens) == 1
        self.api_key, access_token = (keys[0], tokens[0]) if self.is_complete else ("", "")
        self.digest = hashlib.sha256(access_token.encode()).digest()
        self.says_expired = access_token == EXPIRED_TOKEN


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
        self._expired: set[bytes] = set()
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
        if login.says_expired or login.digest in self._expired:
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
