"""Handshakes: the credentials in one, and the answers to those that are refused. Pure.

Access tokens are not kept, only their digests.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response

__all__ = ["Login", "Refusal", "refusal"]

_ERROR_TYPES: Final = {400: "InputException", 403: "TokenException", 429: "NetworkException"}
_REFUSAL_TEXTS: Final = {
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
    if status in _REFUSAL_TEXTS:
        document = {
            "status": "error",
            "message": _REFUSAL_TEXTS[status],
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

    __slots__ = ("api_key", "digest", "is_complete")

    def __init__(self, path: str) -> None:
        query = parse_qs(urlsplit(path).query)
        keys, tokens = query.get("api_key", []), query.get("access_token", [])
        self.is_complete = len(keys) == len(tokens) == 1
        self.api_key, access_token = (keys[0], tokens[0]) if self.is_complete else ("", "")
        self.digest = digest(access_token)


def digest(access_token: str) -> bytes:
    """Return what is kept of an access token: enough to recognise it, useless to present."""
    return hashlib.sha256(access_token.encode()).digest()
