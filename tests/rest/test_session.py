"""Logging in."""

import builtins
import hashlib
import pickle
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import kitepolars
from kitepolars.errors import AuthenticationError, ConfigError, ConnectionLost, KitePolarsError
from kitepolars.feed.account import Account
from kitepolars.rest import Session, credentials_from_env, generate_session, login_url, session
from kitepolars.rest.client import Pace
from kitepolars.secret import Secret
from rest.stand_in import Answer, KiteApi

DATA = {
    "user_type": "individual",
    "email": "someone@example.com",
    "user_name": "Some One",
    "user_shortname": "Some",
    "broker": "ZERODHA",
    "exchanges": ["NSE", "NFO", "MCX"],
    "user_id": "AB1234",
    "api_key": "my_key",
    "access_token": "the-access-token",
    "public_token": "p",
    "enctoken": "the-enctoken",
    "refresh_token": "",
    "login_time": "2026-11-20 08:45:14",
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_LOGIN_PACE", Pace(1, sleep=lambda _: None))


def log_in(kite: KiteApi, request_token: str | Secret = Secret("rt")) -> Session:  # noqa: B008
    return generate_session("my_key", "my_secret", request_token, url=kite.url)


def test_the_login_address() -> None:
    assert login_url(" a&b ") == "https://kite.zerodha.com/connect/login?v=3&api_key=a%26b"
    with pytest.raises(ConfigError, match="api_key"):
        login_url("")


def test_a_login_sends_a_checksum_and_no_authorization(kite: KiteApi) -> None:
    kite.script = [Answer.success(DATA)]
    log_in(kite)
    (request,) = kite.requests
    assert request.path == "/session/token"
    assert request.params == {
        "api_key": "my_key",
        "request_token": "rt",
        # sha256 of "my_keyrtmy_secret", by another tool
        "checksum": hashlib.sha256(b"my_keyrtmy_secret").hexdigest(),
    }
    assert "authorization" not in {name.lower() for name in request.headers}


def test_a_session_has_the_fields_of_the_answer(kite: KiteApi) -> None:
    kite.script = [Answer.success(DATA)]
    got = log_in(kite)
    assert got.user_id == "AB1234"
    assert got.user_name == "Some One"
    assert got.exchanges == ("NSE", "NFO", "MCX")
    assert got.access_token == Secret("the-access-token")
    assert got.login_time is not None
    assert got.login_time.isoformat() == "2026-11-20T08:45:14+05:30"


def test_a_session_makes_an_account(kite: KiteApi) -> None:
    kite.script = [Answer.success(DATA)]
    got = log_in(kite)
    assert got.account() == Account("AB1234", "my_key", "the-access-token")
    assert got.account("other").name == "other"


@pytest.mark.parametrize(
    ("login", "expiry"),
    [
        ("2026-11-20T08:45:14", "2026-11-21T06:00:00"),
        ("2026-11-20T05:59:59", "2026-11-20T06:00:00"),
    ],
)
def test_it_ends_at_six(login: str, expiry: str) -> None:
    ist = timedelta(hours=5, minutes=30)
    at = datetime.fromisoformat(f"{login}+05:30")
    got = Session(user_id="A", login_time=at, api_key="k", access_token=Secret("t"))
    assert got.expires_at.isoformat() == f"{expiry}+05:30"
    assert got.expires_at.utcoffset() == ist
    assert got.expires_at > at.astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    ["0000-01-01 08:45:14", "1970-01-01 05:30:00", "2026-02-30 08:45:14", "9999-12-31 23:59:59",
     "soon", "", None, 5, [], {}],
)  # fmt: skip
def test_a_login_is_not_lost_because_of_a_time_that_cannot_be(kite: KiteApi, text: object) -> None:
    kite.script = [Answer.success(DATA | {"login_time": text})]
    got = log_in(kite)
    assert got.access_token == Secret("the-access-token")
    assert got.login_time is None
    assert got.received_at < got.expires_at <= got.received_at + timedelta(days=1)
    assert got.expires_at.hour == 6


def test_a_login_time_with_an_offset_is_shown_in_ist(kite: KiteApi) -> None:
    kite.script = [Answer.success(DATA | {"login_time": "2026-11-20T03:15:14Z"})]
    login_time = log_in(kite).login_time
    assert login_time is not None
    assert login_time.isoformat() == "2026-11-20T08:45:14+05:30"


@pytest.mark.parametrize(
    "pasted",
    [
        "rt",
        " rt\n",
        Secret("rt"),
        "https://example.com/cb?action=login&type=login&status=success&request_token=rt",
        "http://127.0.0.1:5000/?request_token=rt&action=login",
    ],
)
def test_the_token_or_the_whole_address_may_be_pasted(kite: KiteApi, pasted: str) -> None:
    kite.script = [Answer.success(DATA)]
    log_in(kite, pasted)
    assert kite.requests[0].params["request_token"] == "rt"


@pytest.mark.parametrize("pasted", ["", "  ", "https://example.com/cb?status=failed"])
def test_no_token_in_it(kite: KiteApi, pasted: str) -> None:
    with pytest.raises(ConfigError, match="request_token"):
        log_in(kite, pasted)
    assert kite.requests == []


def test_credentials_are_not_shown(kite: KiteApi) -> None:
    kite.script = [Answer.success(DATA)]
    got = log_in(kite)
    shown = f"{got!r} {got} {got.account()!r}"
    assert "the-access-token" not in shown
    assert "my_key" not in shown
    assert "AB1234" in shown
    with pytest.raises(TypeError):
        pickle.dumps(got)
    with pytest.raises(ConfigError) as caught:
        generate_session("k", "", "t")
    assert "Secret" in str(caught.value)


@pytest.mark.parametrize("kind", ["TokenException", "UserException"])
def test_a_refusal(kite: KiteApi, kind: str) -> None:
    kite.answer = lambda _: Answer.error(403, kind, "Token is invalid or has expired.")
    with pytest.raises(AuthenticationError, match="has expired"):
        log_in(kite)
    assert len(kite.requests) == 1


def test_an_outage_is_not_retried_because_a_request_token_counts_once(kite: KiteApi) -> None:
    kite.answer = lambda _: Answer(503)
    with pytest.raises(ConnectionLost):
        log_in(kite)
    assert len(kite.requests) == 1


@pytest.mark.parametrize(
    "data",
    [None, [], "x", {}, {"login_time": DATA["login_time"]},
     {k: v for k, v in DATA.items() if k != "access_token"}],
)  # fmt: skip
def test_an_answer_that_is_none(kite: KiteApi, data: object) -> None:
    kite.script = [Answer.success(data)]
    with pytest.raises(KitePolarsError, match="invalid") as caught:
        log_in(kite)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    package = str(Path(kitepolars.__file__).parent)  # a clone's folder may have its name, too
    ours = [line for line in shown.format() if package in line]
    assert ours
    assert not any("the-access-token" in line or "my_secret" in line for line in ours)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.delenv("KITE_API_KEY", raising=False)
    monkeypatch.delenv("KITE_ACCESS_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("KITE_API_KEY", "k")
    environment.setenv("KITE_ACCESS_TOKEN", " t\n")
    assert credentials_from_env() == Account("default", "k", "t")


@pytest.mark.parametrize("missing", ["KITE_API_KEY", "KITE_ACCESS_TOKEN"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_variable_is_named(
    environment: pytest.MonkeyPatch, missing: str, value: str | None
) -> None:
    environment.setenv("KITE_API_KEY", "the-key")
    environment.setenv("KITE_ACCESS_TOKEN", "the-token")
    environment.delenv(missing)
    if value is not None:
        environment.setenv(missing, value)
    with pytest.raises(ConfigError, match=missing) as caught:
        credentials_from_env()
    assert "the-" not in str(caught.value)


def test_a_dotenv_file_is_read_and_the_environment_comes_first(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.joinpath(".env").write_text("KITE_API_KEY=file-key\nKITE_ACCESS_TOKEN='file-token'\n")
    below = tmp_path / "below"
    below.mkdir()
    environment.chdir(below)
    assert credentials_from_env() == Account("default", "file-key", "file-token")
    environment.setenv("KITE_ACCESS_TOKEN", "env-token")
    assert credentials_from_env() == Account("default", "file-key", "env-token")
    with pytest.raises(ConfigError, match="KITE_API_KEY"):
        credentials_from_env(dotenv=False)


def test_without_python_dotenv_the_file_is_not_read(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.joinpath(".env").write_text("KITE_API_KEY=k\nKITE_ACCESS_TOKEN=t\n")
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "dotenv":
            raise ImportError(name)
        return plain(name, *rest, **more)

    environment.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="KITE_API_KEY"):
        credentials_from_env()
