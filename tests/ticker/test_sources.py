"""The accounts and instruments that a ticker is given, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import kitepolars as kp
from kitepolars.secret import Secret
from kitepolars.ticker.sources import as_instruments, chosen_accounts, read_interval

KEY, TOKEN = Secret("some_key"), Secret("some_token")
ACCOUNT = kp.Account("main", KEY, TOKEN)


def test_one_account_is_made_of_a_key_and_a_token() -> None:
    (account,) = chosen_accounts(KEY, TOKEN, None)
    assert (account.name, account.api_key, account.access_token.reveal()) == (
        "default",
        "some_key",
        "some_token",
    )


def test_given_accounts_are_taken_as_they_are() -> None:
    assert chosen_accounts(None, None, [ACCOUNT]) == [ACCOUNT]


@pytest.mark.parametrize(
    ("api_key", "access_token", "accounts", "message"),
    [
        (None, TOKEN, None, "api_key is missing"),
        (KEY, None, None, "access_token is missing"),
        (None, None, None, "api_key is missing"),
        (KEY, None, [ACCOUNT], "not both"),
        (None, TOKEN, [ACCOUNT], "not both"),
    ],
)
def test_half_an_account_and_two_answers_are_refused(
    api_key: Secret | None,
    access_token: Secret | None,
    accounts: list[kp.Account] | None,
    message: str,
) -> None:
    with pytest.raises(kp.ConfigError, match=message) as refused:
        chosen_accounts(api_key, access_token, accounts)
    assert "some_token" not in str(refused.value)


def test_without_a_list_no_instrument_is_known() -> None:
    assert len(as_instruments(None)) == 0


def test_a_list_is_taken_as_it_is_or_read(tmp_path: Path) -> None:
    columns = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,"
    columns += "tick_size,lot_size,instrument_type,segment,exchange"
    dump = f"{columns}\n408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n".encode()
    path = tmp_path / "instruments.csv"
    path.write_bytes(dump)
    known = as_instruments(dump)
    assert as_instruments(known) is known
    assert as_instruments(str(path)).tokens(["NSE:INFY"]) == [408065]


def test_accounts_come_from_the_environment_or_the_official_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.delenv("KITE_API_KEY", raising=False)
    monkeypatch.delenv("KITE_ACCESS_TOKEN", raising=False)
    with pytest.raises(kp.ConfigError, match="KITE_API_KEY"):
        kp.Ticker.from_env()
    monkeypatch.setenv("KITE_API_KEY", "key")
    monkeypatch.setenv("KITE_ACCESS_TOKEN", "hush")
    assert "hush" not in repr(kp.Ticker.from_env(default_mode="full"))

    class Kite:
        api_key, access_token = "key", "hush"

    assert not kp.Ticker.from_kite(Kite()).is_running


@pytest.mark.parametrize(
    ("interval", "expected"), [(None, 0.01), (0.05, 0.01), (0.002, 0.002), (0, 0.0)]
)
def test_reads_wait_no_longer_than_decoding_may_wait(
    interval: float | None, expected: float
) -> None:
    assert read_interval(kp.Flush(interval=interval)) == expected
