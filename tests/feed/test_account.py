from __future__ import annotations

import copy
import json
import pickle
import traceback
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.feed.account import (
    Account,
    handshake_query,
    is_loopback,
    public_url,
    redact,
)
from kitepolars.secret import Secret

TOKEN = "s3cr3t/t0ken+==&?#"
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).filter(
    str.strip
)


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_a_secret_shows_nothing(show: object) -> None:
    assert callable(show)
    assert "s3cr3t" not in show(Secret(TOKEN))
    assert "s3cr3t" not in show(Account("main", "my_api_key", TOKEN))
    assert "my_api_key" not in show(Account("main", "my_api_key", TOKEN))


def test_a_secret_is_not_pickled_and_copies_are_itself() -> None:
    secret = Secret(TOKEN)
    account = Account("main", "key", TOKEN)
    for thing in (secret, account):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
    assert copy.deepcopy(secret) is copy.copy(secret) is secret
    assert copy.deepcopy(account) == account


def test_an_account_is_positional_or_by_name_and_frozen() -> None:
    account = Account("main", "key", TOKEN)
    assert account == Account(name="main", api_key="key", access_token=Secret(TOKEN))
    assert account.access_token.reveal() == TOKEN
    assert isinstance(account.access_token, Secret)
    with pytest.raises(AttributeError):
        account.name = "other"  # type: ignore[misc]


def test_a_pasted_token_may_end_in_a_newline() -> None:
    assert Account("main", " key\n", f"{TOKEN}\n") == Account("main", "key", TOKEN)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", ("", "key", TOKEN)),
        ("api_key", ("main", "", TOKEN)),
        ("access_token", ("main", "key", " ")),
        ("access_token", ("main", "key", None)),
        ("access_token", ("main", "key", "half a pair: \ud800")),
        ("api_key", ("main", 5, TOKEN)),
    ],
)
def test_what_is_missing_is_named(field: str, values: tuple[str, str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Account(*values)
    assert caught.value.field == field
    assert "s3cr3t" not in str(caught.value)


def test_a_wrong_kind_of_token_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Account("main", "key", b"s3cr3t")  # type: ignore[arg-type]
    assert "s3cr3t" not in f"{caught.value} {caught.value.value!r}"


@pytest.mark.parametrize(
    ("name", "api_key", "token"),
    [
        ("", "my_api_key", TOKEN),
        ("main", "", TOKEN),
        ("main", "my_api_key\x07", TOKEN),
        ("main", "my_api_key", f"{TOKEN}\x07"),
    ],
)
def test_a_traceback_with_locals_shows_no_credential(name: str, api_key: str, token: str) -> None:
    try:
        Account(name, api_key, token)
    except ConfigError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        own = [frame for frame in shown.stack if not frame.filename.endswith("test_account.py")]
    locals_of_ours = repr([frame.locals for frame in own])
    assert "account.py" in own[0].filename
    assert "s3cr3t" not in locals_of_ours
    assert "my_api_key" not in locals_of_ours


@given(PRINTABLE, PRINTABLE)
def test_the_query_carries_any_credentials(api_key: str, token: str) -> None:
    query = handshake_query("", Account("main", api_key, token))
    assert query.isascii()
    assert dict(parse_qsl(query, strict_parsing=True)) == {
        "api_key": api_key.strip(),
        "access_token": token.strip(),
    }


def test_the_query_keeps_what_the_url_has() -> None:
    account = Account("main", "k", "t")
    query = handshake_query("user_id=AB1234", account)
    assert query == "user_id=AB1234&api_key=k&access_token=t"
    assert public_url("wss://sandbox.kite.trade?user_id=AB1234") == "wss://sandbox.kite.trade/"


@pytest.mark.parametrize(
    "url",
    [
        "https://ws.kite.trade/",
        "ws.kite.trade",
        "wss:///",
        "ws://host:port/",
        "wss://user:s3cr3t@ws.kite.trade/",
        "wss://ws.kite.trade/#s3cr3t",
        "wss://ws.kite.trade/?api_key=key&access_token=s3cr3t",
        "ws://ws.kite.trade/?access_token=s3cr3t",
        "ws://10.0.0.1/",
        "",
        None,
    ],
)
def test_a_url_that_cannot_be_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        public_url(url)
    assert caught.value.field == "url"
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://127.0.0.1:80/", True),
        ("ws://[::1]:80/", True),
        ("ws://localhost/", True),
        ("wss://ws.kite.trade/", False),
        ("ws://10.0.0.1/", False),
    ],
)
def test_loopback_is_known(url: str, *, loopback: bool) -> None:
    assert is_loopback(url) is loopback


def test_texts_are_redacted_in_every_form() -> None:
    account = Account("main", "my_api_key", TOKEN)
    leak = f"wss://ws.kite.trade/?{handshake_query('', account)}"
    assert redact(leak, account) == "wss://ws.kite.trade/?api_key=…&access_token=…"
    assert redact(f"token {TOKEN}!", account) == "token …!"


def test_unencrypted_beyond_this_machine_says_what_to_use() -> None:
    with pytest.raises(ConfigError, match=r"url must be encrypted \(wss://\) beyond this machine"):
        public_url("ws://ws.kite.trade/")
    assert public_url("ws://127.0.0.1:8765/") == "ws://127.0.0.1:8765/"


def test_texts_are_redacted_of_escaped_credentials() -> None:
    account = Account("main", "my_api_key", TOKEN)
    spelt = json.dumps(f"{TOKEN} of my_api_key").replace("/", "\\/").replace("_", "\\u005f")
    assert redact(spelt, account) == '"… of …"'


def test_a_short_key_does_not_mangle_texts() -> None:
    assert redact("an api_key is abcent", Account("main", "key", "abc")) == "an api_key is abcent"
