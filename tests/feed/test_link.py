"""One place of an account: what it sends, delivers and reports, connection after connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from kitepolars.feed.account import Account
from kitepolars.feed.accounts import AccountInUse
from kitepolars.feed.clock import FeedClock
from kitepolars.feed.link import Link, requests
from kitepolars.feed.pace import ReadPace
from kitepolars.feed.plan import Action, Command
from kitepolars.feed.reconnect import Failure, ReconnectPolicy
from kitepolars.source import ConnectionState, Heartbeats, Messages, Record, SnapshotsExpected
from kitepolars.wire.layouts import Mode
from patience import PATIENCE

if TYPE_CHECKING:
    from feed.conftest import Bare, Peer, Script, Serve

BINARY, TEXT = 2, 1
POLICY = ReconnectPolicy(
    initial_delay=0.01, max_delay=0.05, max_attempts=3, silence=60.0, connect_timeout=60.0
)


@dataclass
class Watching:
    """An owner that remembers, and wakes waiters."""

    records: list[Record] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, record: Record) -> None:
        self.records.append(record)
        self.pulse.set()

    def text(self, link: Link, received_at: int, text: str) -> None:
        assert link.last_message_at == received_at
        self._note(f"text {text}")

    def opened(self, link: Link) -> None:
        assert link.state is ConnectionState.OPEN
        self._note("opened")

    def ended(self, link: Link, failure: Failure, *, was_open: bool) -> None:
        assert failure is link.failure
        self._note("lost" if was_open else "refused")

    def changed(self, link: Link) -> None:
        self._note(link.state.value)

    def _note(self, what: str) -> None:
        self.told.append(what)
        self.pulse.set()

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happened():
                self.pulse.clear()
                await self.pulse.wait()


@pytest.fixture
def owner() -> Watching:
    return Watching()


@pytest.fixture
async def make_link(owner: Watching) -> AsyncIterator[Callable[[str], Link]]:
    links: list[Link] = []

    def make(url: str) -> Link:
        account = AccountInUse(Account("main", "my_api_key", "token"))
        links.append(
            Link(
                2, account, url=url, policy=POLICY, clock=FeedClock(), pace=ReadPace(), owner=owner
            )
        )
        return links[-1]

    yield make
    for link in links:
        await link.stop()


async def read_text(peer: Peer) -> str:
    """Read one masked text frame of the client's, of less than 126 bytes."""
    head = await peer.reader.readexactly(2)
    assert head[0] == 0x81
    mask = await peer.reader.readexactly(4)
    body = await peer.reader.readexactly(head[1] & 0x7F)
    return bytes(byte ^ mask[n % 4] for n, byte in enumerate(body)).decode()


async def stay(peer: Peer) -> None:
    await peer.gone()


@pytest.mark.parametrize(
    ("action", "mode", "expected"),
    [
        (Action.SUBSCRIBE, Mode.QUOTE, [{"a": "subscribe", "v": [1, 2]}]),
        (
            Action.SUBSCRIBE,
            Mode.FULL,
            [{"a": "subscribe", "v": [1, 2]}, {"a": "mode", "v": ["full", [1, 2]]}],
        ),
        (Action.SET_MODE, Mode.QUOTE, [{"a": "mode", "v": ["quote", [1, 2]]}]),
        (Action.UNSUBSCRIBE, None, [{"a": "unsubscribe", "v": [1, 2]}]),
    ],
)
def test_a_subscribe_resets_the_mode_so_that_any_other_follows_it(
    action: Action, mode: Mode | None, expected: list[object]
) -> None:
    texts = requests(Command(0, action, (1, 2), mode), [1, 2])
    assert [json.loads(text) for text in texts] == expected


async def test_snapshots_are_expected_before_the_request_is_sent(
    owner: Watching, make_link: Callable[[str], Link], serve: Serve
) -> None:
    asked: list[str] = []

    async def script(peer: Peer) -> None:
        asked.append(await read_text(peer))
        assert any(isinstance(record, SnapshotsExpected) for record in owner.records)
        peer.send(BINARY, b"\x00\x00")
        await peer.gone()

    link = make_link((await serve(script)).url)
    link.start()
    await owner.until(lambda: "opened" in owner.told)
    link.send(Command(2, Action.SUBSCRIBE, (257, 513), Mode.QUOTE))
    await owner.until(lambda: len(owner.records) == 2)
    expected, messages = owner.records
    assert isinstance(expected, SnapshotsExpected)
    assert (expected.connection, expected.instrument_tokens) == (2, (257, 513))
    assert isinstance(messages, Messages)
    assert messages.received_at >= expected.at
    assert json.loads(asked[0]) == {"a": "subscribe", "v": [257, 513]}


async def test_messages_heartbeats_and_texts_are_delivered_with_their_time(
    owner: Watching, make_link: Callable[[str], Link], serve: Serve
) -> None:
    async def script(peer: Peer) -> None:
        peer.send(BINARY, b"\x00")
        peer.send(BINARY, b"\x00")
        peer.send(BINARY, b"one")
        peer.send(TEXT, b"hello")
        await peer.gone()

    link = make_link((await serve(script)).url)
    link.start()
    await owner.until(lambda: "text hello" in owner.told)
    beats = [record for record in owner.records if isinstance(record, Heartbeats)]
    assert sum(record.heartbeats for record in beats) == 2
    (messages,) = [record for record in owner.records if isinstance(record, Messages)]
    assert list(messages.messages) == [b"one"]
    assert {messages.connection, *(record.connection for record in beats)} == {2}
    assert link.heard_at >= messages.received_at


async def test_it_opens_one_connection_after_the_other_until_it_gives_up(
    owner: Watching, make_link: Callable[[str], Link], serve: Serve
) -> None:
    async def script(_: Peer) -> None:
        """Accept, and close at once."""

    bare: Bare = await serve(script)
    link = make_link(bare.url)
    link.start()
    await owner.until(lambda: link.state is ConnectionState.FAILED)
    assert bare.handshakes == POLICY.max_attempts == link.attempts
    cycle = ["open", "opened", "waiting", "lost", "connecting"]
    assert owner.told == ["connecting", *cycle, *cycle, "open", "opened", "failed", "lost"]
    assert link.reconnects == 2
    link.start()
    await owner.until(lambda: link.attempts == 1)
    await link.stop()
    assert link.state is ConnectionState.IDLE


async def test_what_waits_when_a_connection_ends_is_forgotten(
    owner: Watching, make_link: Callable[[str], Link], serve: Serve
) -> None:
    scripts: list[Script] = []

    async def script(peer: Peer) -> None:
        await scripts.pop(0)(peer)

    async def close(_: Peer) -> None:
        """Close at once."""

    scripts += [close, stay]
    link = make_link((await serve(script)).url)
    link.start()
    await owner.until(lambda: "waiting" in owner.told)
    link.send(Command(2, Action.SUBSCRIBE, (257,), Mode.QUOTE))
    await owner.until(lambda: owner.told.count("opened") == 2)
    assert owner.records == []
