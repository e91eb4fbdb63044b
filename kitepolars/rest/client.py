"""Requests to Kite's HTTP API: credentials, rate limit, retries, errors. Any thread; blocking.

The access token is only inserted when a request is sent. Errors are raised without the HTTP
library's own, which contain the request. Source of the errors: Kite Connect v3, "Exceptions and
errors".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from kitepolars.errors import AuthenticationError, ConfigError, ConnectionLost, KitePolarsError
from kitepolars.feed.account import HEADERS, is_loopback
from kitepolars.instruments.download import is_safe_url
from kitepolars.secret import Secret, as_secret, redacted

if TYPE_CHECKING:
    import httpx

API: Final = "https://api.kite.trade"
"""The root of Kite's HTTP API."""

ATTEMPTS: Final = 5
"""The most times that a request is sent while Kite is busy or out of order."""

MAX_DELAY: Final = 60.0
"""The longest delay between two attempts, in seconds."""

MAX_ANSWER_BYTES: Final = 1 << 26
"""The most bytes of a response; the candles of one request are below 3 MB."""

REQUEST_TIMEOUT: Final = 30.0
"""The timeout of a request, in seconds without a byte."""

_OK: Final = range(200, 300)
_FORBIDDEN: Final = 403
_BUSY: Final = 429
_OUT_OF_ORDER: Final = range(500, 600)
_LOGIN_ERRORS: Final = frozenset({"TokenException", "UserException", "PermissionException"})
_TEXT_SHOWN: Final = 300  # characters of a server's text
_LOG_IN: Final = (
    "Access tokens expire each day at about 06:00 IST; log in again: kp.login_url(api_key), "
    "then kp.generate_session(api_key, api_secret, request_token)."
)


class Pace:
    """Spaces requests evenly, so that no more than a number start per second.

    Parameters
    ----------
    per_second
        How many.
    clock
        Seconds that only grow.
    sleep
        Waits for seconds.

    Examples
    --------
    >>> waits = []
    >>> pace = Pace(4, clock=lambda: 0.0, sleep=waits.append)
    >>> for _ in range(3):
    ...     pace.wait()
    >>> waits
    [0.25, 0.5]
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")  # guarded by the lock

    def wait(self) -> None:
        """Block until this thread may send a request."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Block this and every other thread for some seconds, as the server requested."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
        self._sleep(seconds)


class Credentials(Protocol):
    """An API key and an access token: a `Session`, an `Account`, a ``KiteConnect``."""

    @property
    def api_key(self) -> str:
        """The app's key."""

    @property
    def access_token(self) -> str | Secret:
        """The token of the day's login."""


class Client:
    """A connection to Kite's HTTP API. Use it in a ``with`` block.

    Parameters
    ----------
    url
        The root of the API, over HTTPS.
    pace
        The rate limiter, shared by all clients under the same limit.
    credentials
        Whose; None where there are none yet.

    Raises
    ------
    ConfigError
        If the URL is not ``https://``, or there is no access token yet.
    ImportError
        If ``httpx`` is not installed.
    """

    def __init__(self, url: str, *, pace: Pace, credentials: Credentials | None = None) -> None:
        if not is_safe_url(url):
            raise ConfigError("url", url, "an https:// address")
        try:
            import httpx  # noqa: PLC0415 -- an extra, for login and history only
        except ImportError:
            raise ImportError(
                "login and history need httpx: pip install 'kitepolars[http]'"
            ) from None
        self._request_error = httpx.RequestError
        self._pace = pace
        self._secrets = [] if credentials is None else [_checked_token(credentials)]
        self._client = httpx.Client(
            base_url=url,
            headers=HEADERS | {"User-Agent": "kitepolars"},
            auth=None if credentials is None else _authorization(credentials),
            timeout=REQUEST_TIMEOUT,
            trust_env=not is_loopback(url),  # no proxy for this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str | int]) -> Any:
        """Return the ``data`` of a response, with retries while Kite is busy or out of order.

        Parameters
        ----------
        path
            The path below the root.
        params
            The query parameters.

        Raises
        ------
        AuthenticationError
            If Kite rejects the credentials; never retried.
        ConnectionLost
            If Kite is still busy, out of order or unreachable after `ATTEMPTS`.
        KitePolarsError
            If Kite rejects the request, or its response is invalid.
        """
        attempt = 1
        while True:
            self._pace.wait()
            answer = self._send("GET", path, params=params)
            if not answer.is_transient or attempt == ATTEMPTS:
                return self._data(path, answer, attempts=attempt)
            self._pace.hold(answer.delay(attempt))
            attempt += 1

    def post(self, path: str, form: Mapping[str, str | Secret]) -> Any:
        """Post a form, without retries, and return the ``data`` of the response.

        Parameters
        ----------
        path
            The path below the root.
        form
            The fields of the form.

        Raises
        ------
        AuthenticationError, ConnectionLost, KitePolarsError
            As for `get`.
        """
        self._secrets += [value for value in form.values() if isinstance(value, Secret)]
        self._pace.wait()
        answer = self._send("POST", path, form=form)
        return self._data(path, answer, attempts=1)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        form: Mapping[str, str | Secret] | None = None,
    ) -> _Answer:
        """Send a request and return the response.

        No exception passes through the frames of the HTTP library: they hold the request.
        """
        try:
            with self._client.stream(
                method, path, params=params, data=_revealed_form(form)
            ) as response:
                body = _bounded(response.iter_bytes())
        except self._request_error as error:
            return _Answer(status=None, text=self._redacted(f"{type(error).__name__}: {error}"))
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None
        return _Answer(
            status=response.status_code,
            text=body.decode("utf-8", "replace"),
            retry_after=response.headers.get("Retry-After", ""),
        )

    def _data(self, path: str, answer: _Answer, *, attempts: int) -> Any:
        if answer.is_success:
            return answer.content["data"]
        # Before it is truncated or escaped, or a part of a credential might remain.
        answer = replace(answer, text=self._redacted(answer.text))
        said = f"{path}: {answer.summary}"
        if answer.is_transient:
            times = "once" if attempts == 1 else f"{attempts} times"
            raise ConnectionLost(f"{said} (tried {times})", attempts=attempts)
        if answer.is_about_the_login:
            raise AuthenticationError(f"{said}. {_LOG_IN}")
        raise KitePolarsError(said)

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = redacted(text, secret.reveal())
        return text


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A response: its status and text; or no status, and the error as the text.

    The text is not in the repr, because tracebacks may show local variables.
    """

    status: int | None
    text: str = field(repr=False)  # may contain a token
    retry_after: str = ""

    @property
    def is_transient(self) -> bool:
        return self.status is None or self.status == _BUSY or self.status in _OUT_OF_ORDER

    def delay(self, attempt: int) -> float:
        """Return the delay in seconds: what the server requests, or exponential."""
        asked = float(self.retry_after) if self.retry_after.isdecimal() else 2.0 ** (attempt - 1)
        return min(asked, MAX_DELAY)

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The JSON object; empty if the text is anything else."""
        try:
            content = json.loads(self.text)
        except ValueError:  # a gateway's HTML, or nothing
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def is_success(self) -> bool:
        found = self.content.get("status") == "success" and "data" in self.content
        return self.status in _OK and found

    @property
    def is_about_the_login(self) -> bool:
        return self.status == _FORBIDDEN or self.content.get("error_type") in _LOGIN_ERRORS

    @property
    def summary(self) -> str:
        """The status with a bounded part of the server's message."""
        if self.status is None:
            return self.text[:_TEXT_SHOWN]
        kind = str(self.content.get("error_type") or "")[:_TEXT_SHOWN]
        message = str(self.content.get("message") or self.text)[:_TEXT_SHOWN]
        said = ": ".join(filter(None, (kind, message)))
        return f"Kite answered HTTP {self.status}" + (f", {said!r}" if said else "")


def _authorization(credentials: Credentials) -> Callable[[httpx.Request], httpx.Request]:
    def authorize(request: httpx.Request) -> httpx.Request:
        token = _checked_token(credentials)
        request.headers["Authorization"] = f"token {credentials.api_key}:{token.reveal()}"
        return request

    return authorize


def _checked_token(credentials: Credentials) -> Secret:
    """Return the token without surrounding whitespace.

    What a header cannot carry is refused here: the HTTP library would quote it in its error.
    """
    token = _access_token(credentials)
    if not _fits_header(token.reveal()):
        raise ConfigError("access_token", token, "the token of today's login")
    return Secret(token.reveal().strip())


def _access_token(credentials: Credentials) -> Secret:
    return as_secret(credentials.access_token)


def _fits_header(value: object) -> bool:
    if not isinstance(value, str):
        return False
    kept = value.strip()
    return bool(kept) and kept.isascii() and kept.isprintable()


def _bounded(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise KitePolarsError(f"Kite's response is longer than {MAX_ANSWER_BYTES:,} bytes")
    return bytes(body)


def _revealed_form(form: Mapping[str, str | Secret] | None) -> dict[str, str] | None:
    if form is None:
        return None
    return {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in form.items()
    }
