"""Owns fetching the instruments dump and its cache on disk; on the caller's thread, when asked.

The dump of a day is on Kite's server by about 08:30 IST, and tokens are used
again on later days, so a file is good until the next 08:30 and no longer.
Only the standard library is used: names must work without any extra.
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
"""Seconds without a byte after which a download is given up."""

_READY: Final = timedelta(hours=8, minutes=30)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_HEADERS: Final = {
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
    """Return the dump of the day: from the cache, or over HTTPS where it is not there yet.

    Parameters
    ----------
    exchange
        One exchange, such as ``"NSE"``; None for all.
    cache_dir
        Where files are kept; the user's cache folder by default.
    url
        The endpoint, without the exchange.
    now
        The time that decides which day's dump is wanted; the clock's by default.

    Raises
    ------
    ConfigError
        If the exchange or the URL cannot be right, or the answer is no dump.
    ConnectionLost
        If the server does not give the dump.
    """
    source = _source(url, exchange)
    day = dump_day(now or datetime.now(UTC))
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    stem = f"instruments-{exchange.upper() if exchange else 'all'}-"
    path = folder / f"{stem}{day.isoformat()}.csv.gz"
    if path.exists():
        return read_dump(path)
    data = _download(source)
    dump = read_dump(data)  # before it is kept: what is no dump must not be there tomorrow
    _keep(path, data if data.startswith(b"\x1f\x8b") else gzip.compress(data))
    for old in folder.glob(f"{stem}????-??-??.csv.gz"):
        if old.name < path.name:
            old.unlink(missing_ok=True)
    return dump


def dump_day(now: datetime) -> date:
    """Return the day whose dump is the newest at a time: a new one is there by 08:30 IST.

    Examples
    --------
    >>> dump_day(datetime(2026, 11, 20, 8, 29, tzinfo=IST))
    datetime.date(2026, 11, 19)
    >>> dump_day(datetime(2026, 11, 20, 8, 30, tzinfo=IST))
    datetime.date(2026, 11, 20)
    """
    return (now.astimezone(IST) - _READY).date()


def default_cache_dir() -> Path:
    """Return the folder for kitepolars in the user's cache, by the platform's custom."""
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
    """Say whether an address is HTTPS, or leads to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class _SafeRedirects(HTTPRedirectHandler):
    """Follows a redirection only to where we would have gone ourselves."""

    def redirect_request(  # noqa: PLR0917 -- the library's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        if not is_safe_url(newurl):
            raise ConnectionLost(f"{req.full_url} redirects to an insecure address", attempts=1)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _download(source: str) -> bytes:
    request = Request(source, headers=_HEADERS)  # noqa: S310 -- the scheme is checked above
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
    """Write a file so that nobody ever sees a part of it, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
