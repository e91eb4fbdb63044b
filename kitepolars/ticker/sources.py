"""Where a ticker's records come from: its own connections, or a recorder's journal.

Nothing here starts or sends anything; wrong settings are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from kitepolars.errors import ConfigError
from kitepolars.feed.account import Account, public_url
from kitepolars.feed.manager import TickerManager
from kitepolars.feed.pace import READ_INTERVAL
from kitepolars.frames.store import Retention
from kitepolars.instruments import Instruments
from kitepolars.pipeline import Flush
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import launch
from kitepolars.recorder.request import Request
from kitepolars.recordings.following import FollowSource
from kitepolars.secret import Secret, as_secret
from kitepolars.ticker.runtime import Runtime
from kitepolars.wire.layouts import Mode


def connected_runtime(
    accounts: Sequence[Account],
    request: Request,
    *,
    retention: Retention | None,
    flush: Flush | None,
) -> Runtime:
    """Return the parts of a ticker that opens its own connections."""
    manager = TickerManager(
        accounts,
        url=request.url,
        limits=request.limits,
        reconnect=request.reconnect,
        read_interval=read_interval(flush or Flush()),
    )
    claims: dict[Hashable, int] = {
        (request.url, Secret(account.api_key)): request.limits.connections for account in accounts
    }
    return Runtime(manager, ledger=manager.ledger, retention=retention, flush=flush, claims=claims)


def read_interval(flush: Flush) -> float:
    """Return for how long reads may be held back where ticks are decoded so often."""
    return READ_INTERVAL if flush.interval is None else min(READ_INTERVAL, flush.interval)


def following_runtime(
    folder: str | PathLike[str],
    accounts: Sequence[Account],
    request: Request,
    *,
    publish: str | PathLike[str] | None,
    names: Callable[[], Instruments],
    retention: Retention | None,
    flush: Flush | None,
) -> Runtime:
    """Return the parts of a ticker that follows a recorder, and starts one if none is running.

    Parameters
    ----------
    folder
        The recorder's folder.
    accounts, request
        What a recorder that is started connects with.
    publish
        The table of days that the recorder publishes to meanwhile.
    names
        Returns the instruments that such a recorder stores, so that a replay knows the names.
    retention, flush
        As for `Runtime`.
    """
    public_url(request.url)  # raises here, not in another process
    table = None
    if publish is not None:
        from kitepolars.days.manifest import table_path  # noqa: PLC0415 - loaded on use

        table = table_path(publish)

    def start(subscriptions: Mapping[int, Mode]) -> Recorder:
        instruments = names()
        listing = instruments.to_csv() if len(instruments) else b""
        wanted = replace(request, subscriptions=subscriptions, listing=listing, publish=table or "")
        return launch(Path(folder), accounts, wanted)

    known = [None] if len(accounts) == 1 else [account.name for account in accounts]
    tokens = {name: account.access_token for name, account in zip(known, accounts, strict=True)}
    source = FollowSource(Path(folder), launch=start, publish=table, access_tokens=tokens)
    return Runtime(source, retention=retention, flush=flush)


def chosen_accounts(
    api_key: Secret | None, access_token: Secret | None, accounts: Sequence[Account] | None
) -> Sequence[Account]:
    """Return the accounts that a ticker's credentials describe: one, or those given instead."""
    if accounts is not None:
        if api_key is not None or access_token is not None:
            both = "pass either api_key and access_token, or accounts, not both"
            raise ConfigError("accounts", accounts, message=both)
        return accounts
    if api_key is None or access_token is None:
        missing = "api_key" if api_key is None else "access_token"
        needed = f"{missing} is missing: pass api_key and access_token, or accounts"
        raise ConfigError(missing, None, message=needed)
    return [Account("default", api_key, access_token)]


def official_account(kite: Any) -> Account:
    """Return the account of an official client.

    IPython's verbose tracebacks show the value of every ``name.attribute`` in the lines they show,
    so that the lines which read the token are not those which refuse it.
    """
    return Account("default", *_credentials(kite))


def _credentials(kite: Any) -> tuple[Secret, Secret]:
    return as_secret(kite.api_key), as_secret(kite.access_token)


def as_instruments(instruments: Instruments | str | bytes | None) -> Instruments:
    """Return a list of instruments: as given, read from its CSV, or empty."""
    if isinstance(instruments, Instruments):
        return instruments
    if instruments is None:
        return Instruments.from_records([])
    return Instruments.read_csv(instruments)
