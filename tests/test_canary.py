"""The canary: an access token that must be found nowhere, sent through every path at DEBUG.

It has characters that URLs or JSON escape around a core that no encoding changes, and the core is
what is searched for: in texts, in bytes, and in what base64 makes of them.
"""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl
import pytest

import kitepolars as kp
from cli.test_relay import relay
from journal.recorded import read_records
from kitepolars.days.manifest import Table
from kitepolars.days.publish import JournalPublisher
from kitepolars.errors import AuthenticationError, KitePolarsError
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import find
from kitepolars.recorder.request import without_credentials
from kitepolars.relay import RelayTokens
from kitepolars.rest import credentials_from_env
from kitepolars.secret import Secret
from kitepolars.sim import SimulatedKite
from kitepolars.source import now_us
from patience import PATIENCE, eventually
from recorder.recording import stop
from rest.stand_in import Answer, KiteApi

CORE: Final = "c4naryQZ7xW"
TOKENS: Final = {"url": f"a/{CORE}+b==", "json": f'a"{CORE}\\b<c>&'}
ENCODED: Final = tuple(
    base64.b64encode(b"." * shift + CORE.encode())[2 * shift :][: len(CORE)] for shift in range(3)
)
INFY, NIFTY = 408065, 256265
LOGGERS: Final = (
    *(None, "kitepolars", "kitepolars.feed.websocket", "websockets", "websockets.client"),
    *("asyncio", "httpx", "httpcore"),
)


def assert_absent(*shown: object) -> None:
    """Fail where the core of the canary is shown, as it is, escaped, or in base64."""
    for one in shown:
        raw = one if isinstance(one, bytes) else str(one).encode("utf-8", "replace")
        plain = re.sub(rb"\\+u00([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), raw)
        for needle in (CORE.encode(), *ENCODED):
            at = plain.find(needle)
            assert at < 0, plain[max(0, at - 200) : at + 60]


def test_the_search_finds_the_canary_in_every_spelling() -> None:
    escaped = "".join(f"\\u{ord(char):04x}" for char in CORE)
    for shift in range(3):
        spelt = base64.b64encode(b"x" * shift + CORE.encode() + b"y")
        for shown in (spelt, quote(TOKENS["url"]), json.dumps(TOKENS["json"]), escaped):
            with pytest.raises(AssertionError):
                assert_absent(shown)


@pytest.fixture(params=TOKENS)
def token(request: pytest.FixtureRequest) -> Secret:
    return Secret(TOKENS[request.param])


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=20, interval=0.02, heartbeat=0.1) as kite:
        yield kite


@pytest.fixture
def api() -> Iterator[KiteApi]:
    from rest.conftest import kite as serve  # noqa: PLC0415 - a fixture of the same name

    yield from serve.__wrapped__()  # type: ignore[attr-defined]


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Return the log of everything at DEBUG, with event loops in their debug mode."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def logged(log: pytest.LogCaptureFixture) -> str:
    return log.text + repr([vars(record) for record in log.records])


def ways(token: Secret) -> list[str]:
    """Return JSON texts of a server that repeats a token, as different servers spell it."""
    plain = token.reveal()
    texts = [plain, quote(plain, safe=""), json.dumps({"nested": plain}), f"Bearer {plain}!"]
    bodies = [json.dumps({"type": "error", "data": text}) for text in texts]
    return [*bodies, bodies[0].replace("/", "\\/"), bodies[0].replace("c4n", "\\u0063\\u0034n")]


def other_kinds(token: Secret) -> list[str]:
    """Return its texts of the other kinds that repeat a token."""
    kinds = ("message", "instruments_meta", f"new {token.reveal()}")
    return [json.dumps({"type": kind, "data": f"for {token.reveal()}"}) for kind in kinds]


def held_texts(*roots: object) -> Iterator[str | bytes]:
    """Yield every text that objects refer to, through closures, slots and running tasks too."""
    namespaces = {id(vars(module)) for module in tuple(sys.modules.values()) if module is not None}
    seen = set(map(id, roots))
    todo = list(roots)
    while todo:
        for one in gc.get_referents(todo.pop()):
            if id(one) in seen or id(one) in namespaces:
                continue
            seen.add(id(one))
            kind = type(one)  # isinstance would ask a weak proxy for what it refers to
            if issubclass(kind, str | bytes):
                yield one
            elif not issubclass(kind, types.ModuleType | type | logging.Logger | Secret):
                todo.append(one)


def tables(ticker: kp.Ticker) -> list[object]:
    frames = (ticker.events(), ticker.gaps(), ticker.connections(), ticker.subscriptions())
    return [frame.write_json() for frame in (*frames, ticker.orders(), ticker.latest())]


def test_a_day_of_a_ticker_leaves_no_trace(
    kite: SimulatedKite, token: Secret, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    policy = kp.ReconnectPolicy(initial_delay=0.02, max_delay=0.1)
    names = kp.Instruments.read_csv(kite.instruments_csv())
    ticker = kp.Ticker(
        "my_api_key", token.reveal(), url=kite.url, reconnect=policy, instruments=names
    )
    ticker.record(tmp_path / "ticks")
    ticker.on_batch(fails_with(token))
    ticker.subscribe([INFY, NIFTY], mode="full")
    kite.reject(500, times=1, body=json.dumps({"message": f"no access for {token.reveal()}"}))
    with ticker:
        for text in (*ways(token), *other_kinds(token), f"unheard of: {token.reveal()}"):
            kite.send(text)
        kite.order_update(tag=token.reveal(), order_id="1")
        kite.close(reason=f"bad {token.reveal()}")
        assert ticker.wait(until=lambda t: t.stats().reconnects, timeout=PATIENCE)
        kite.reject(403, body=json.dumps({"message": f"{token.reveal()} has expired"}))
        kite.abort()
        assert ticker.wait(until=lambda t: "expired" in set(t.events()["kind"]), timeout=PATIENCE)
        kite.accept()
        ticker.set_access_token(f"{token.reveal()} of today")
        assert ticker.wait(until=lambda t: t.connections()["state"][0] == "open", timeout=PATIENCE)
        kite.send(f"old {token.reveal()}, new {token.reveal()} of today")
        ticker.note("strategy", f"sold with {token.reveal()}")
        assert ticker.wait(until=lambda t: "strategy" in set(t.events()["kind"]), timeout=PATIENCE)
        assert ticker.wait(until=lambda t: "callback" in set(t.events()["kind"]), timeout=PATIENCE)
        views: list[Any] = [
            ticker.watch(),
            ticker.monitor(),
            ticker.controls(),
            ticker.dashboard("NSE:INFY"),
        ]
        pages = [view.export_html(tmp_path / f"{n}.html") for n, view in enumerate(views)]
        assert_absent(*(view.get_state() for view in views), *(page.read_text() for page in pages))
        assert_absent(repr(ticker), ticker._repr_html_(), vars(ticker), *tables(ticker))
        assert_absent(*held_texts(ticker))
        with pytest.raises((TypeError, AttributeError)):
            pickle.dumps(ticker)
    records = read_records(tmp_path / "ticks")
    assert any("bad …" in repr(record) for record in records)
    assert_absent(*records)
    publisher = JournalPublisher(
        tmp_path / "ticks", Table(tmp_path / "days"), clock=lambda: now_us() + 3_600_000_000
    )
    assert publisher.publish().rows > 0
    published = {path.stem: pl.read_parquet(path) for path in tmp_path.rglob("*.parquet")}
    assert any("bad …" in repr(frame.rows()) for frame in published.values())
    assert_absent(*(frame.rows() for frame in published.values()))
    assert_absent(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
    assert_absent(logged(log))


def test_an_alert_whose_message_is_refused_does_not_show_its_address(
    kite: SimulatedKite, api: KiteApi, token: Secret, log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    api.answer = lambda request: Answer(403, f"{request.path} is not known".encode())
    webhook = kp.Webhook(f"{api.url}/{quote(token.reveal(), safe='')}")
    ticker = kp.Ticker("my_api_key", "another", url=kite.url)
    alert = ticker.alert(pl.col("last_price") > 0, name="any", snapshots=True, notify=webhook)
    ticker.record(tmp_path / "ticks")
    ticker.subscribe([INFY], mode="full")
    with ticker:
        assert ticker.wait(until=lambda t: "callback" in set(t.events()["kind"]), timeout=PATIENCE)
        assert api.requests[0].path.startswith("/a")
        assert ticker.alerts()["name"].to_list() == ["any"]
        shown = [ticker.alerts().write_json(), ticker.active_alerts(), alert, webhook]
        assert "it answered 403" in ticker.events().write_json()
        assert_absent(*shown, *map(vars, (ticker, webhook)), *tables(ticker))
        assert_absent(*held_texts(ticker, alert))
        with pytest.raises(TypeError):
            pickle.dumps(webhook)
    assert_absent(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
    assert_absent(*read_records(tmp_path / "ticks"), logged(log))


def fails_with(token: Secret) -> Callable[[object], None]:
    def fail(_: object) -> None:
        raise RuntimeError(f"the order was refused: token {token.reveal()}")

    return fail


# -- tracebacks that show local variables -----------------------------------------------------


class Official:
    """What the official client offers of itself."""

    def __init__(self, api_key: str, access_token: str) -> None:
        self.api_key = api_key
        self.access_token = access_token


@dataclass
class World:
    """What a failing call has to do with."""

    token: Secret
    kite: SimulatedKite
    api: KiteApi
    folder: Path

    def account(self) -> kp.Account:
        return kp.Account("main", "my_api_key", self.token.reveal())

    def ticker(self, **settings: Any) -> kp.Ticker:
        return kp.Ticker("my_api_key", self.token.reveal(), **{"url": self.kite.url} | settings)

    def refusing(self, status: int = 403) -> World:
        body = json.dumps({"status": "error", "message": f"{self.token.reveal()} is wrong"})
        self.kite.reject(status, body=body)
        self.api.answer = lambda _: Answer(status, body.encode())
        return self

    def start(self, **settings: Any) -> object:
        policy = kp.ReconnectPolicy(initial_delay=0.01, max_attempts=2)
        return self.ticker(reconnect=policy, **settings).start()

    def history(self, end: str = "") -> object:
        session = Official("my_api_key", self.token.reveal() + end)
        return kp.historical(session, INFY, "1d", "2026-01-01", "2026-01-02", url=self.api.url)


def ended_recorder(world: World) -> None:
    """Give a new token to a recorder that has ended."""
    recorder = Recorder.__new__(Recorder)
    recorder.folder = world.folder
    recorder.ask("set_access_token", token=world.token)


def interrupted(world: World) -> None:
    """Press the stop button while the HTTP library waits for an answer."""

    def press(_: object) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return Answer(500)

    world.api.answer = press
    kp.generate_session("my_api_key", "secret", world.token.reveal(), url=world.api.url)


FAILING: Final[dict[str, Callable[[World], object]]] = {
    "no key": lambda w: kp.Ticker("", w.token.reveal()),
    "no key at all": lambda w: kp.Ticker(None, w.token.reveal()),
    "both": lambda w: kp.Ticker("key", w.token.reveal(), accounts=[w.account()]),
    "a control character": lambda w: kp.Ticker("key", f"{w.token.reveal()}\x07"),
    "bytes": lambda w: kp.Ticker("key", w.token.reveal().encode()),  # type: ignore[arg-type]
    "a wrong address": lambda w: w.ticker(url="http://ws.kite.trade"),
    "not encrypted": lambda w: w.ticker(url="ws://192.0.2.1/"),
    "not encrypted, recorded": lambda w: w.ticker(url="ws://192.0.2.1/", recorder=w.folder),
    "a wrong mode": lambda w: w.ticker(default_mode="sideways"),
    "a wrong file": lambda w: w.ticker(instruments="/nowhere/instruments.csv"),
    "an account twice": lambda w: kp.Ticker(accounts=[w.account(), w.account()]),
    "an account without a name": lambda w: kp.Account("", "key", w.token.reveal()),
    "a key for a token": lambda w: kp.Account("main", f"{w.token.reveal()}\n\n\x00", "token"),
    "an official client": lambda w: kp.Ticker.from_kite(Official("", w.token.reveal())),
    "refused": lambda w: w.refusing().start(),
    "a bad request": lambda w: w.refusing(400).start(),
    "redirected": lambda w: w.refusing(302).start(),
    "too many connections": lambda w: w.refusing(429).start(),
    "out of order": lambda w: w.refusing(500).start(),
    "nobody there": lambda w: w.start(url="ws://127.0.0.1:1/"),
    "nobody there, encrypted": lambda w: w.start(url="wss://[::1]:1/?user_id=1"),
    "no such name": lambda w: w.start(url="wss://nowhere.invalid/"),
    "refused, recorded": lambda w: w.refusing().ticker(recorder=w.folder).start(),
    "a new token for nobody": lambda w: w.ticker().set_access_token(w.token.reveal(), "nobody"),
    "a new token that is wrong": lambda w: w.ticker().set_access_token(f"{w.token.reveal()}\x07"),
    "a new token for no recorder": ended_recorder,
    "the environment": lambda _: credentials_from_env(dotenv=False),
    "a login that is refused": lambda w: kp.generate_session(
        "my_api_key", w.token.reveal(), w.token.reveal(), url=w.refusing().api.url
    ),
    "a login with an address": lambda w: kp.generate_session(
        "my_api_key", w.token.reveal(), f"https://x/?token={w.token.reveal()}", url=w.api.url
    ),
    "a login without a key": lambda w: kp.generate_session("", w.token.reveal(), w.token.reveal()),
    "history that is refused": lambda w: w.refusing().history(),
    "history with no header": lambda w: w.history("\x07"),
    "history beyond ASCII": lambda w: w.history("é"),
    "a login that is interrupted": interrupted,
    "a pickled account": lambda w: pickle.dumps(w.account()),
}


def renderings(error: BaseException) -> Iterator[str]:
    """Yield a traceback as those show it who show local variables."""
    from IPython.core.ultratb import VerboseTB  # noqa: PLC0415 - only this test needs them
    from rich.console import Console  # noqa: PLC0415
    from rich.traceback import Traceback  # noqa: PLC0415

    kind, frames = type(error), error.__traceback__
    shown = traceback.TracebackException(kind, error, frames, capture_locals=True)
    yield "".join(shown.format())
    console = Console(file=io.StringIO(), width=400)
    limits: dict[str, Any] = {"locals_max_length": None, "locals_max_string": None}
    console.print(Traceback.from_exception(kind, error, frames, show_locals=True, **limits))
    assert isinstance(console.file, io.StringIO)
    yield console.file.getvalue()
    yield VerboseTB(theme_name="nocolor").text(kind, error, frames)


@pytest.fixture
def world(
    kite: SimulatedKite,
    api: KiteApi,
    token: Secret,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setenv("KITE_ACCESS_TOKEN", token.reveal())
    monkeypatch.delenv("KITE_API_KEY", raising=False)
    monkeypatch.setattr("socket.getaddrinfo", resolved)
    return World(token, kite, api, tmp_path / "ticks")


def resolved(host: object, *details: Any, resolve: Any = socket.getaddrinfo, **more: Any) -> object:
    if host == "nowhere.invalid":
        raise OSError("there is no such name")
    return resolve(host, *details, **more)


@pytest.mark.parametrize("name", FAILING)
def test_no_traceback_shows_it_in_a_local_variable(
    name: str, world: World, log: pytest.LogCaptureFixture
) -> None:
    if sys.platform == "win32" and "record" in name:
        pytest.skip("no recorder on Windows")
    with pytest.raises((KitePolarsError, TypeError, OSError, KeyboardInterrupt)) as caught:
        FAILING[name](world)
    assert_absent(*renderings(caught.value), logged(log))
    with suppress(AttributeError):
        assert_absent(caught.value.value)  # type: ignore[attr-defined]


# -- processes ---------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_recorder_keeps_it_in_its_memory_only(
    kite: SimulatedKite,
    token: Secret,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    for name in ("KITE_ACCESS_TOKEN", "KITE_API_SECRET", "MY_TOKEN"):
        monkeypatch.setenv(name, token.reveal())
    folder, key = tmp_path / "ticks", f"key{abs(hash(tmp_path))}"
    ticker = kp.Ticker(key, token.reveal(), url=kite.url, recorder=folder)
    ticker.subscribe([INFY], mode="full")
    ticker.on_batch(fails_with(token))
    try:
        with ticker:
            assert ticker.wait(rows=2, timeout=PATIENCE)
            for text in ways(token):
                kite.send(text)
            eventually(lambda: is_told(folder, ways(token)))
            recorder = Recorder(folder)
            with pytest.raises(KitePolarsError):
                recorder.ask("set_access_token", token=token, account="nobody")
            with pytest.raises(KitePolarsError):
                recorder.ask("dance", token=token)
            ticker.set_access_token(f"{token.reveal()} of today")
            ticker.note("mine", f"{token.reveal()} of today")
            assert_absent(recorder.ask("status"), repr(ticker), *tables(ticker))
            assert_absent(*held_texts(ticker))
            public = list(processes())
            assert any(str(folder).encode() in shown for shown in public)
            assert_absent(*public)
    finally:
        stop(folder)
    assert_absent(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
    assert_absent(*read_records(folder), logged(log))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_relay_keeps_neither_the_accounts_token_nor_its_own(
    kite: SimulatedKite,
    token: Secret,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("kitepolars.relay.tokens.secrets.token_urlsafe", lambda _: token.reveal())
    folder, key = tmp_path / "ticks", f"key{abs(hash(tmp_path))}"
    tokens = RelayTokens(folder)
    own = tokens.add("laptop", orders=True)
    try:
        with (
            kp.Ticker(key, token.reveal(), url=kite.url, recorder=folder),
            relay(folder) as (url, running),
        ):
            assert_absent(url)
            with kp.Ticker("laptop", own.reveal(), url=url) as client:
                client.subscribe([INFY], mode="full")
                assert client.wait(rows=2, timeout=PATIENCE)
                for text in ways(token):
                    kite.send(text)
                eventually(lambda: is_told(folder, ways(token)))
                kite.order_update(order_id="1", tag=token.reveal())
                assert client.wait(until=lambda t: t.orders().height == 1, timeout=PATIENCE)
                assert_absent(*tables(client), *processes(), Recorder(folder).ask("status"))
            with pytest.raises(AuthenticationError) as refused:
                kp.Ticker("laptop", f"{token.reveal()}!", url=url).start()
            assert_absent(refused.value, tokens.list())
            running.send_signal(signal.SIGTERM)
            assert_absent(*running.communicate(timeout=PATIENCE))
    finally:
        stop(folder)
    assert_absent(logged(log))
    assert_absent(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
    assert_absent(*read_records(folder))


def is_told(folder: Path, texts: list[str]) -> bool:
    recorder = find(folder)
    assert recorder is not None
    kinds = [event["kind"] for event in recorder.ask("status")["events"]]
    return kinds.count("error") == len(texts)


def processes() -> Iterator[bytes]:
    """Yield what others can read of every process of this user: arguments and environment."""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):  # it has ended, or is somebody else's
                yield (process / name).read_bytes()


def test_what_a_child_process_inherits_has_no_credentials(token: Secret) -> None:
    account = kp.Account("main", "my_api_key", token.reveal())
    names = ("KITE_ACCESS_TOKEN", "KITE_API_SECRET", "KITE_ACCESS_TOKEN_ANNA")
    ours = dict.fromkeys(names, "of another day") | {"MINE": f"token {token.reveal()}"}
    assert without_credentials(ours | {"HOME": "/home/anna"}, [account]) == {"HOME": "/home/anna"}


# -- a notebook --------------------------------------------------------------------------------

CELLS: Final = (
    "import kitepolars as kp, rich.traceback",
    "from pathlib import Path\nfrom kitepolars.sim import SimulatedKite",
    "kite = SimulatedKite(rate=20).__enter__()",
    "account = kp.Account('main', 'my_api_key', Path('token').read_text())\naccount",
    "ticker = kp.Ticker(accounts=[account], url=kite.url)\nticker",
    "ticker.subscribe([408065], mode='full')\nticker.start()",
    "ticker.wait(rows=5, timeout=60)\nticker.frame()",
    "ticker.dashboard(408065)",
    "ticker.controls()",
    "kite.send('token ' + Path('token').read_text() + ' is wrong')",
    "ticker.wait(until=lambda t: 'unknown' in set(t.events()['kind']), timeout=60)",
    "ticker.events()['detail'].to_list()",
    "%xmode Verbose",
    "kp.Ticker('', Path('token').read_text())",
    "account.access_token = 'another'",
    "rich.traceback.install(show_locals=True)",
    "kp.Ticker('key', Path('token').read_text(), url='ws://192.0.2.1')",
    "vars(ticker)",
    "%whos",
    "kp.show_versions()",
    "ticker.stop()\nkite.__exit__(None, None, None)",
)
RUNNER: Final = """
import nbclient, nbformat
notebook = nbformat.read("cells.ipynb", as_version=4)
nbclient.NotebookClient(
    notebook, timeout=300, startup_timeout=300, kernel_name="python3", allow_errors=True
).execute()
nbformat.write(notebook, "executed.ipynb")
"""


def test_a_notebook_that_is_executed_and_saved_does_not_contain_it(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    (tmp_path / "token").write_text(TOKENS["json"])
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "cells.ipynb")
    ours = {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    subprocess.run([sys.executable, "-c", RUNNER], cwd=tmp_path, env=os.environ | ours, check=True)
    executed = (tmp_path / "executed.ipynb").read_text("utf-8")
    assert executed.count("ConfigError") >= 2
    assert "token … is wrong" in executed
    assert "FrozenInstanceError" in executed
    (tmp_path / "token").unlink()
    assert_absent(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
