"""The download of the instruments dump, and its cache on disk. Any thread; blocking.

Kite publishes the dump of a day by about 08:30 IST. Exchanges reuse tokens, so a cached file
expires at the next 08:30. Only the standard library is used: names must work without an extra.
"""

from __future__ import annotations

import gzip
import os
import re
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError, ConnectionLost
from kitepolars.instruments.dump import DUMP_URL, MAX_DUMP_BYTES, Dump, read_dump

DOWNLOAD_TIMEOUT: Final = 30.0
"""The timeout of a download, in seconds without a byte."""

_PUBLISHED_AT: Final = timedelta(hours=8, minutes=30)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_DOWNLOAD_HEADERS: Final = {
    "X-Kite-Version": "3",
    "User-Agent": "kitepolars",
    "Accept-Encoding": "gzip",
}


def fetch_dump(
    exchange: str | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    url: str = DUMP_URL,
    now: datetime | None = None,
) -> Dump:
    """Return the dump of the day, from the cache or else over HTTPS.

    Parameters
    ----------
    exchange
        One exchange, such as ``"NSE"``; None for all.
    cache_dir
        The folder of the cache; the user's cache folder by default.
    url
        The endpoint, without the exchange.
    now
        The time that determines the day; the current time by default.

    Raises
    ------
    ConfigError
        If the exchange or the URL is invalid, or the response is not a dump.
    ConnectionLost
        If the download fails.
    """
    source = _source(url, exchange)
    day = dump_day(now or datetime.now(UTC))
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    stem = f"instruments-{exchange.upper() if exchange else 'all'}-"
    path = folder / f"{stem}{day.isoformat()}.csv.gz"
    if path.exists():
        return read_dump(path)
    data = _download(source)
    dump = read_dump(data)  # before it is cached: only a dump may be
    _keep(path, data if data.startswith(b"\x1f\x8b") else gzip.compress(data))
    for old in folder.glob(f"{stem}????-??-??.csv.gz"):
        if old.name < path.name:
            old.unlink(missing_ok=True)
    return dump


def dump_day(now: datetime) -> date:
    """Return the day of the newest dump at a time.

    Examples
    --------
    >>> dump_day(datetime(2026, 11, 20, 8, 29, tzinfo=IST))
    datetime.date(2026, 11, 19)
    >>> dump_day(datetime(2026, 11, 20, 8, 30, tzinfo=IST))
    datetime.date(2026, 11, 20)
    """
    return (now.astimezone(IST) - _PUBLISHED_AT).date()


def default_cache_dir() -> Path:
    """Return the folder of kitepolars in the platform's cache folder of the user."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kitepolars"


def _source(url: str, exchange: str | None) -> str:
    if not is_safe_url(url):
        raise ConfigError("url", url, "an https:// address")
    if exchange is None:
        return url
    if not re.fullmatch(r"[A-Za-z]{2,10}", exchange):
        raise ConfigError("exchange", exchange, "the name of an exchange, such as 'NSE'")
    return f"{url.rstrip('/')}/{exchange.upper()}"


def is_safe_url(url: str) -> bool:
    """Return whether an address is HTTPS, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects to safe addresses only."""

    def redirect_request(  # noqa: PLR0917 -- the library's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        if not is_safe_url(newurl):
            raise ConnectionLost(f"{req.full_url} redirects to an insecure address", attempts=1)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _download(source: str) -> bytes:
    request = Request(source, headers=_DOWNLOAD_HEADERS)  # noqa: S310 -- the scheme is checked above
    try:
        with build_opener(_SafeRedirects).open(request, timeout=DOWNLOAD_TIMEOUT) as response:
            data: bytes = response.read(MAX_DUMP_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise ConnectionLost(f"{source} answered HTTP {error.code}", attempts=1) from None
    except (OSError, HTTPException) as error:
        raise ConnectionLost(f"{source} could not be fetched: {error}", attempts=1) from error
    if len(data) > MAX_DUMP_BYTES:
        raise ConnectionLost(f"{source} sends more than {MAX_DUMP_BYTES:,} bytes", attempts=1)
    return data


def _keep(path: Path, data: bytes) -> None:
    """Write a file atomically, readable only by its owner."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
