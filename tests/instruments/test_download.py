"""Fetching the dump: once a day, atomically, from nowhere but where it was asked from."""

import gzip
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kitepolars.calendar import IST
from kitepolars.errors import ConfigError, ConnectionLost
from kitepolars.instruments import Instruments, download
from kitepolars.instruments.download import default_cache_dir, dump_day, fetch_dump
from kitepolars.instruments.dump import DUMP_SCHEMA

INFY = "408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE"
CSV = "\n".join([",".join(DUMP_SCHEMA), INFY, ""]).encode()
MORNING = datetime(2026, 11, 20, 9, 0, tzinfo=IST)


class Server(ThreadingHTTPServer):
    """Answers every request alike and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.headers = 200, gzip.compress(CSV), dict[str, str]()
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/instruments"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.mark.parametrize("body", [CSV, gzip.compress(CSV)], ids=["plain", "gzip"])
def test_a_dump_is_fetched_once_a_day(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    folder = tmp_path / "cache"
    for _ in range(3):
        dump = fetch_dump(cache_dir=folder, url=server.url, now=MORNING)
        assert dump.frame["tradingsymbol"].to_list() == ["INFY"]

    assert [path for path, _ in server.asked] == ["/instruments"]
    assert server.asked[0][1]["X-Kite-Version"] == "3"


def test_the_cache_is_one_file_that_only_its_user_can_read(server: Server, tmp_path: Path) -> None:
    server.body = CSV
    folder = tmp_path / "cache"
    fetch_dump(cache_dir=folder, url=server.url, now=MORNING)
    kept = list(folder.iterdir())
    assert [path.name for path in kept] == ["instruments-all-2026-11-20.csv.gz"]
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert gzip.decompress(kept[0].read_bytes()) == CSV


def test_a_new_day_fetches_again_and_drops_the_old_file(server: Server, tmp_path: Path) -> None:
    tmp_path.joinpath("instruments-NFO-2026-11-19.csv.gz").write_bytes(b"another exchange's")
    for day in (20, 21):
        fetch_dump("nse", cache_dir=tmp_path, url=server.url, now=MORNING.replace(day=day))

    assert [path for path, _ in server.asked] == ["/instruments/NSE"] * 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "instruments-NFO-2026-11-19.csv.gz",
        "instruments-NSE-2026-11-21.csv.gz",
    }


def test_the_day_turns_at_half_past_eight_in_india() -> None:
    assert dump_day(datetime(2026, 11, 20, 2, 59, tzinfo=UTC)) == date(2026, 11, 19)
    assert dump_day(datetime(2026, 11, 20, 3, 0, tzinfo=UTC)) == date(2026, 11, 20)


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_a_refusal_is_typed_and_keeps_nothing(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ConnectionLost, match=f"HTTP {status}"):
        fetch_dump(cache_dir=tmp_path, url=server.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"<html>", b"", gzip.compress(CSV)[:-9]])
def test_what_is_no_dump_is_not_kept(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(ConfigError):
        fetch_dump(cache_dir=tmp_path, url=server.url)
    assert list(tmp_path.iterdir()) == []


def test_too_much_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_DUMP_BYTES", 10)
    with pytest.raises(ConnectionLost, match="more than 10 bytes"):
        fetch_dump(cache_dir=tmp_path, url=server.url)


def test_nobody_there(tmp_path: Path) -> None:
    with Server() as server:
        url = server.url
    with pytest.raises(ConnectionLost, match="could not be fetched"):
        fetch_dump(cache_dir=tmp_path, url=url)


def test_an_insecure_redirection_is_not_followed(server: Server, tmp_path: Path) -> None:
    server.status, server.headers = 302, {"Location": "http://example.com/instruments"}
    with pytest.raises(ConnectionLost, match="insecure"):
        fetch_dump(cache_dir=tmp_path, url=server.url)


@pytest.mark.parametrize(
    "url", ["http://api.kite.trade/instruments", "file:///etc/passwd", "ftp://a/b", "", "nse"]
)
def test_only_https(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        fetch_dump(cache_dir=tmp_path, url=url)


@pytest.mark.parametrize("exchange", ["", "../x", "NSE/x", "N"])
def test_an_exchange_is_letters(tmp_path: Path, exchange: str) -> None:
    with pytest.raises(ConfigError, match="exchange"):
        fetch_dump(exchange, cache_dir=tmp_path)


def test_a_write_that_fails_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        fetch_dump(cache_dir=tmp_path, url=server.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", ("cache", "kitepolars")),
        ("win32", ("local", "kitepolars")),
        ("darwin", ("home", "Library", "Caches", "kitepolars")),
    ],
)
def test_the_cache_is_where_the_platform_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_cache_dir() == tmp_path.joinpath(*expected)


def test_instruments_fetch(server: Server, tmp_path: Path) -> None:
    instruments = Instruments.fetch("NSE", cache_dir=tmp_path, url=server.url)
    assert instruments.tokens("NSE:INFY") == [408065]
