"""What the connections of an account share, and how a feed finds its accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kitepolars.errors import AuthenticationError, ConfigError
from kitepolars.feed.account import Account
from kitepolars.feed.accounts import AccountInUse, Accounts
from kitepolars.secret import Secret

if TYPE_CHECKING:
    from feed.conftest import MakeRig

TWO = (Account("one", "key_of_one", "token_of_one"), Account("two", "key_of_two", "token_of_two"))


async def test_a_handshake_that_hangs_does_not_hold_up_the_others_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kitepolars.feed.accounts.GATE_PATIENCE", 0.01)
    account = AccountInUse(Account("main", "my_api_key", "token"), live=1)
    async with account.admission():
        async with account.admission():
            assert account.gate.locked()
        assert account.gate.locked()
    assert not account.gate.locked()


async def test_an_account_must_be_named_where_there_are_several(make_rig: MakeRig) -> None:
    manager = make_rig("ws://127.0.0.1:1/", *TWO).manager
    for account in (None, "three"):
        with pytest.raises(ConfigError, match="'one', 'two'"):
            manager.set_access_token("new", account)
    manager.set_access_token("new", "two")
    assert manager.error("one") is None


def test_former_tokens_are_redacted_as_well() -> None:
    accounts = Accounts(TWO)
    accounts.renew(accounts.named("two"), Secret("the_new_token"))
    shown = accounts.redact("token_of_one token_of_two the_new_token")
    assert "token" not in shown


def test_a_new_token_clears_the_rejection_of_the_former() -> None:
    accounts = Accounts(TWO[:1])
    account = accounts.named(None)
    account.error = AuthenticationError("rejected")
    assert isinstance(account.failure(), AuthenticationError)
    accounts.renew(account, Secret("the_new_token"))
    assert account.failure() is None
