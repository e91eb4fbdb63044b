"""One request: what is sent, what is retried, what is raised, and what nobody gets to see."""

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from kitepolars.errors import AuthenticationError, ConfigError, ConnectionLost, KitePolarsError
from kitepolars.feed.account import Account
from kitepolars.rest import client as client_module
from kitepolars.rest.client import ATTEMPTS, MAX_DELAY, Client, Pace
from kitepolars.secret import Secret
from rest.stand_in import Answer, FakeTime, KiteApi

TOKEN = "t0psecret/+"
ACCOUNT = Account("main", "my_key", TOKEN)
BUSY = Answer.error(429, "NetworkException", "Too many requests")


def ask(kite: KiteApi, time: FakeTime) -> Any:
    with Client(kite.url, pace=time.pace(), credentials=ACCOUNT) as client:
        return client.get("/thing", {"a": 1, "b": "two words"})


def test_what_is_sent(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [Answer.success({"x": 1})]
    assert ask(kite, fake_time) == {"x": 1}
    (request,) = kite.requests
    assert request.path == "/thing"
    assert request.params == {"a": "1", "b": "two words"}
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["authorization"] == f"token my_key:{TOKEN}"
    assert headers["x-kite-version"] == "3"
    assert fake_time.slept == []


@pytest.mark.parametrize(
    "busy", [BUSY, Answer(502, b"<html>"), Answer(503), Answer(504)], ids=lambda a: str(a.status)
)
def test_a_busy_kite_is_asked_again_more_and_more_slowly(
    kite: KiteApi, fake_time: FakeTime, busy: Answer
) -> None:
    kite.script = [busy, busy, busy, Answer.success([])]
    assert ask(kite, fake_time) == []
    assert fake_time.slept == [1.0, 2.0, 4.0]


def test_retry_after_is_obeyed_within_bounds(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.script = [
        Answer(429, headers={"Retry_After": "7"}),
        Answer(429, headers={"Retry_After": "99999"}),
        Answer(429, headers={"Retry_After": "soon"}),
        Answer.success([]),
    ]
    ask(kite, fake_time)
    assert fake_time.slept == [7.0, MAX_DELAY, 4.0]


def test_it_gives_up_after_some_attempts(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = lambda _: BUSY
    with pytest.raises(ConnectionLost, match=r"429.*Too many.*tried 5 times") as caught:
        ask(kite, fake_time)
    assert caught.value.attempts == len(kite.requests) == ATTEMPTS
    assert len(fake_time.slept) == ATTEMPTS - 1


def test_nobody_there(fake_time: FakeTime) -> None:
    with KiteApi() as kite:
        pass
    with pytest.raises(ConnectionLost, match="ConnectError"):
        ask(kite, fake_time)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "TokenException"), (403, "PermissionException"), (403, ""), (400, "TokenException")],
)
def test_refused_credentials_are_fatal_at_once(
    kite: KiteApi, fake_time: FakeTime, status: int, kind: str
) -> None:
    kite.answer = lambda _: Answer.error(status, kind, "Incorrect `api_key` or `access_token`.")
    with pytest.raises(AuthenticationError, match=r"Incorrect.*06:00 IST.*login_url"):
        ask(kite, fake_time)
    assert len(kite.requests) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer.error(400, "InputException", "interval exceeds max limit: 60 days"), "60 days"),
        (Answer(404, b"<html>not here</html>"), "HTTP 404"),
        (Answer(200, b"<html>"), "HTTP 200"),
        (Answer(200, b"[1, 2]"), "HTTP 200"),
        (Answer(200, b'{"status": "success"}'), "HTTP 200"),
        (Answer.error(200, "GeneralException", "no"), "GeneralException"),
        (Answer(302, b"", {"Location": "http://example.com/"}), "HTTP 302"),
    ],
)
def test_another_refusal_is_typed(
    kite: KiteApi, fake_time: FakeTime, answer: Answer, said: str
) -> None:
    kite.answer = lambda _: answer
    with pytest.raises(KitePolarsError, match=said) as caught:
        ask(kite, fake_time)
    assert type(caught.value) is KitePolarsError
    assert len(kite.requests) == 1


def test_what_the_server_says_is_bounded_and_escaped(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = lambda _: Answer.error(400, "InputException", "\x1b[2J" + "x" * 100_000)
    with pytest.raises(KitePolarsError) as caught:
        ask(kite, fake_time)
    assert len(str(caught.value)) < 500
    assert "\x1b" not in str(caught.value)


def test_too_long_an_answer_is_given_up(
    kite: KiteApi, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 100)
    kite.answer = lambda _: Answer.success("x" * 200)
    with pytest.raises(KitePolarsError, match="longer than 100 bytes"):
        ask(kite, fake_time)


def traceback_of(call: Callable[[], object]) -> str:
    """Return what a traceback with all local variables shows, chained errors included."""
    try:
        call()
    except KitePolarsError as error:
        seen = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(seen.format())
    return ""


@pytest.mark.parametrize("script", [
    [Answer.error(403, "TokenException", f"bad token {TOKEN}")],
    [Answer.error(400, "InputException", f"{TOKEN} {TOKEN}")],
    [Answer(503, TOKEN.encode())] * ATTEMPTS,
    [Answer.success(1)],
])  # fmt: skip
def test_the_token_is_nowhere(
    kite: KiteApi, fake_time: FakeTime, caplog: pytest.LogCaptureFixture, script: list[Answer]
) -> None:
    kite.script = script
    with caplog.at_level(logging.DEBUG):
        seen = traceback_of(lambda: ask(kite, fake_time))
    assert TOKEN not in seen
    assert TOKEN not in caplog.text
    assert all(TOKEN not in str(vars(record)) for record in caplog.records)


def test_a_form_is_sent_once(kite: KiteApi, fake_time: FakeTime) -> None:
    kite.answer = lambda _: Answer.error(500, "GeneralException", "echo s3cret")
    with (
        Client(kite.url, pace=fake_time.pace()) as client,
        pytest.raises(ConnectionLost, match="tried once") as caught,
    ):
        client.post("/form", {"field": Secret("s3cret")})
    (request,) = kite.requests
    assert request.params == {"field": "s3cret"}
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://api.kite.trade", "ws://127.0.0.1", "", "kite"])
def test_only_https(fake_time: FakeTime, url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        Client(url, pace=fake_time.pace())


def test_without_httpx_the_extra_is_named(
    fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"pip install 'kitepolars\[http\]'"):
        Client("https://api.kite.trade", pace=fake_time.pace())


def test_the_pace_is_kept_by_all_threads_together() -> None:
    lock, turns = threading.Lock(), []

    def sleep(seconds: float) -> None:
        with lock:
            turns.append(seconds)

    pace = Pace(4, clock=lambda: 0.0, sleep=sleep)

    def five_turns() -> None:
        for _ in range(5):
            pace.wait()

    threads = [threading.Thread(target=five_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert sorted(turns) == [turn / 4 for turn in range(1, 20)]


def test_a_hold_holds_the_others_too(fake_time: FakeTime) -> None:
    pace = fake_time.pace(1)
    pace.wait()
    pace.hold(10)
    assert fake_time.now == 10
    pace.wait()
    pace.wait()
    assert fake_time.now == 11


@pytest.mark.parametrize("token", [None, ""])
def test_a_client_that_has_not_logged_in(fake_time: FakeTime, token: Any) -> None:
    class KiteConnect:
        api_key = "k"
        access_token = token

    with pytest.raises(ConfigError, match="access_token"):
        Client("https://api.kite.trade", pace=fake_time.pace(), credentials=KiteConnect())
