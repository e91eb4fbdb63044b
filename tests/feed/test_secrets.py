"""The access token stays where it belongs, whatever happens."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from kitepolars.errors import KitePolarsError
from kitepolars.feed.account import Account
from kitepolars.feed.reconnect import ReconnectPolicy
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from feed.conftest import Kite, MakeRig, Rig

TOKEN = "t0p-s3cr3t/token+="
NEXT_TOKEN = "n3xt-s3cr3t/token"
LOGGERS = (None, "websockets", "websockets.client", "kitepolars.feed.websocket", "asyncio")
POLICY = ReconnectPolicy(initial_delay=0.02, max_delay=0.05, silence=60.0, connect_timeout=60.0)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def assert_clean(text: str) -> None:
    for secret in (TOKEN, NEXT_TOKEN, "my_api_key"):
        for form in (secret, quote(secret, safe=""), quote(secret)):
            assert form not in text


def everything(rig: Rig) -> str:
    manager = rig.manager
    told = (manager, manager._links, manager._accounts, manager.error())
    return repr((told, manager.events(), manager.gaps(), manager.connections(), manager.orders()))


def as_text(log: pytest.LogCaptureFixture) -> str:
    return log.text + repr([vars(record) for record in log.records])


async def test_a_life_with_every_fault_leaves_no_trace_of_the_token(
    kite: Kite, make_rig: MakeRig, log: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(kite.url, reconnect=POLICY)
    body = f'{{"message":"no access for {TOKEN} and {quote(TOKEN, safe="")}"}}'
    kite.reject(500, times=1, body=body)
    rig.manager.subscribe(kite.listed(2), Mode.LTP)
    await rig.manager.start()
    kite.send(f'{{"type":"error","data":"token {TOKEN} is wrong"}}')
    escaped = TOKEN.replace("/", "\\/").replace("t", "\\u0074")
    kite.send(f'{{"type":"error","data":"{escaped}"}}')
    kite.send(f"unknown {TOKEN} my_api_key")
    await rig.until(lambda: "unknown" in rig.kinds())
    kite.close(reason=f"bad {TOKEN}")
    await rig.until(lambda: rig.manager.stats().reconnects == 1)
    kite.reject(403, body=body)
    kite.abort()
    await rig.until(lambda: rig.manager.error() is not None)
    rig.manager.set_access_token(NEXT_TOKEN)
    kite.accept()
    await rig.until(lambda: rig.manager.stats().connected == 1)
    kite.send(f"the old {TOKEN} and the new {NEXT_TOKEN}")
    await rig.until(lambda: rig.count("unknown") == 2)
    assert rig.count("expired") == 1
    assert_clean(everything(rig))
    assert_clean(as_text(log))
    assert "GET /" not in log.text


@pytest.mark.parametrize("status", [403, 400, 302, 429, 500])
async def test_errors_show_no_token_though_the_server_repeats_it(
    kite: Kite, make_rig: MakeRig, log: pytest.LogCaptureFixture, status: int
) -> None:
    rig = make_rig(kite.url, reconnect=replace(POLICY, connect_timeout=0.5))
    kite.reject(status, body=f'{{"message":"{TOKEN}"}}')
    with pytest.raises(KitePolarsError) as caught:
        await rig.manager.start()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert_clean("".join(shown.format()))
    assert_clean(everything(rig))
    assert_clean(as_text(log))


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:1/",
        "wss://nowhere.invalid/",
        "ws://[::1]:1/?user_id=1",
        "wss://127.0.0.1:1/",
    ],
)
async def test_a_server_that_is_not_there_learns_and_tells_nothing(
    make_rig: MakeRig,
    log: pytest.LogCaptureFixture,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", _unresolved)
    account = Account("main", "my_api_key", TOKEN)
    policy = replace(POLICY, max_attempts=2)
    rig = make_rig(url, account, reconnect=policy)
    with pytest.raises(KitePolarsError) as caught:
        await rig.manager.start()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert_clean("".join(shown.format()))
    assert_clean(everything(rig))
    assert_clean(as_text(log))


def _unresolved(*_: object, **__: object) -> list[object]:
    raise OSError("no names are resolved here")
