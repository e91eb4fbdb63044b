"""The subscription panel's parts: lists as text, changes and undo, capacity, commands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.widgets import Controls, watchlist
from kitepolars.widgets.capacity import meters, status_line
from kitepolars.widgets.changes import Change, modes_of
from kitepolars.widgets.commands import CommandQueue
from kitepolars.widgets.markup import message
from kitepolars.widgets.publisher import Publisher, Reading
from kitepolars.widgets.subscriptions import (
    ASKED,
    CONFIRMED,
    SILENT,
    SubscriptionList,
)
from kitepolars.wire.layouts import Mode
from patience import PATIENCE
from widgets.page import INFY, NIFTY, RELIANCE, Page

Show = Callable[..., Page]


@pytest.fixture
def commands() -> Iterator[CommandQueue]:
    queue = CommandQueue(patience=0.2)
    yield queue
    assert queue.join(PATIENCE)


@pytest.fixture
def own_ticker() -> Iterator[kp.DemoTicker]:
    with kp.demo(instruments=[NIFTY], rate=10) as running:
        assert running.wait(
            until=lambda ticker: "full" in ticker.latest()["mode"], timeout=PATIENCE
        )
        yield running


def controls(
    ticker: kp.Ticker, publisher: Publisher, commands: CommandQueue, **settings: Any
) -> Controls:
    return Controls(ticker, publisher=publisher, commands=commands, **settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("NSE:INFY", {"NSE:INFY": "quote"}),
        ("NSE:NIFTY 50 ltp", {"NSE:NIFTY 50": "ltp"}),
        ("NSE:NIFTY 50\tLTP", {"NSE:NIFTY 50": "ltp"}),
        ("408065, 'NSE:INFY' full;\n# nothing", {408065: "quote", "NSE:INFY": "full"}),
        ("NSE:M&M full # comment, ltp", {"NSE:M&M": "full"}),
        ("[408065, 738561]", {408065: "quote", 738561: "quote"}),
        ("NSE:INFY ltp\nNSE:INFY full", {"NSE:INFY": "full"}),
    ],
)
def test_a_watch_list_is_read_leniently(text: str, expected: dict[str | int, str]) -> None:
    assert watchlist.parse(text, Mode.QUOTE) == expected


@given(st.text(max_size=300))
def test_any_text_is_a_watch_list(text: str) -> None:
    for name, mode in watchlist.parse(text, Mode.LTP).items():
        assert name != ""
        assert mode in Mode


@given(
    st.dictionaries(
        st.from_regex(r"(NSE|NFO):[A-Z0-9&-]{1,12}( 50)?", fullmatch=True),
        st.sampled_from(Mode),
        max_size=20,
    )
)
def test_what_is_written_is_read_again(entries: dict[str, Mode]) -> None:
    text = watchlist.to_text((name, mode.value) for name, mode in entries.items())
    assert watchlist.parse(text, Mode.LTP) == entries


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    watchlist.save(path, [("NSE:INFY", "full")])
    assert watchlist.load(path, Mode.LTP) == {"NSE:INFY": Mode.FULL}

    def broken() -> Iterator[tuple[str, str]]:
        yield ("NSE:SBIN", "full")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        watchlist.save(path, broken())
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]
    assert "INFY" in path.read_text("utf-8")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(kp.ConfigError, match="a text file"):
        watchlist.load(path, Mode.LTP)


STATES = st.dictionaries(st.integers(1, 6), st.sampled_from(["ltp", "quote", "full"]))


class Book:
    """Subscriptions as a dictionary, with the ticker's three verbs."""

    def __init__(self, state: dict[int, str]) -> None:
        self.state = dict(state)

    def subscribe(self, tokens: list[int], mode: Mode) -> None:
        self.state.update(dict.fromkeys(tokens, mode.value))

    set_mode = subscribe

    def unsubscribe(self, tokens: list[int]) -> None:
        for token in tokens:
            del self.state[token]


@given(STATES, STATES)
def test_undo_brings_back_what_was(before: dict[int, str], after: dict[int, str]) -> None:
    change = Change.between(before, after)
    book: Any = Book(after)
    change.undo(book)
    assert book.state == before
    assert bool(change) == (before != after)


def test_commands_are_done_in_order_on_one_thread_that_ends(commands: CommandQueue) -> None:
    done: list[tuple[int, str]] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(100):
        commands.post(partial(note, number))
    assert commands.join(PATIENCE)
    assert [number for number, _ in done] == list(range(100))
    assert {name for _, name in done} == {"kitepolars-commands"}


def test_capacity_and_state_are_said_and_escaped(own_ticker: kp.Ticker) -> None:
    frame = own_ticker.connections()
    assert "1 / 3,000" in meters(frame)
    assert "Running: 1 of 1 connection open" in status_line(frame, running=True)
    assert "Stopped" in status_line(frame, running=False)
    evil = frame.with_columns(account=frame["account"].str.replace_all(".+", "<script>"))
    assert "<script>" not in meters(evil)
    expired = frame.with_columns(state=frame["state"].str.replace_all(".+", "expired"))
    assert "set_access_token" in status_line(expired, running=False)
    assert "&lt;b&gt;" in message("<b>", "error")


def test_the_panel_adds_changes_removes_and_undoes(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, show: Show
) -> None:
    panel = controls(own_ticker, publisher, commands, mode="full")
    search, listed = show(panel.search), show(panel.subscribed, "list")
    search.say("ready")
    listed.say("ready")
    listed.wait(lambda each: each.get("symbols") == ["NSE:NIFTY 50"])
    search.say("query", text="infy")
    found, _ = search.wait(lambda each: each.get("text") == "infy" and each["hits"])
    assert found["hits"][0]["token"] == INFY
    search.say("add", tokens=[INFY, RELIANCE])
    listed.wait(lambda each: len(each.get("symbols", ())) == 3)
    assert commands.join(PATIENCE)
    assert modes_of(own_ticker.subscriptions())[INFY] == "full"
    assert "2 subscribed" in panel.message.value
    listed.say("selection", tokens=[INFY])
    panel.mode_buttons[Mode.LTP].click()
    assert commands.join(PATIENCE)
    assert modes_of(own_ticker.subscriptions())[INFY] == "ltp"
    listed.say("remove", tokens=[RELIANCE])
    assert commands.join(PATIENCE)
    assert set(modes_of(own_ticker.subscriptions())) == {NIFTY, INFY}
    for expected in ({INFY: "ltp", RELIANCE: "full"}, {INFY: "full", RELIANCE: "full"}, {}):
        panel.undo_button.click()
        assert commands.join(PATIENCE)
        assert modes_of(own_ticker.subscriptions()) == {NIFTY: "full", **expected}
    panel.undo_button.click()
    assert commands.join(PATIENCE)
    assert "nothing to undo" in panel.message.value


def test_errors_are_said_in_words(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, tmp_path: Path
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel.add_button.click()
    assert "Search first" in panel.message.value
    panel.remove_button.click()
    assert "Select rows" in panel.message.value
    panel._add(own_ticker.instruments.frame["instrument_token"].head(9_001).to_list())
    assert commands.join(PATIENCE)
    assert "places are free" in panel.message.value
    panel.paste.value = "NSE:INFY ltp\nNSE:INFI\n" + "\n".join(f"NSE:X{n}" for n in range(9))
    panel.paste_button.click()
    assert commands.join(PATIENCE)
    assert "INFI" in panel.message.value
    assert "… and 5 more" in panel.message.value
    assert modes_of(own_ticker.subscriptions())[INFY] == "ltp"
    panel.file.value = str(tmp_path / "none" / "list.txt")
    for button in (panel.load_button, panel.save_button):
        button.click()
        assert commands.join(PATIENCE)
        assert "No such file" in panel.message.value
    panel.file.value = str(tmp_path / "list.txt")
    panel.save_button.click()
    assert commands.join(PATIENCE)
    own_ticker.unsubscribe([INFY, NIFTY])
    panel.load_button.click()
    assert commands.join(PATIENCE)
    assert set(modes_of(own_ticker.subscriptions())) == {NIFTY, INFY}


def test_only_faults_of_the_panel_are_events_too(
    own_ticker: kp.DemoTicker,
    publisher: Publisher,
    commands: CommandQueue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("not <b>thought</b> of")

    def told() -> list[str]:
        return own_ticker.events().filter(kind="widget")["detail"].to_list()

    panel = controls(own_ticker, publisher, commands)
    panel._add(own_ticker.instruments.frame["instrument_token"].head(9_001).to_list())
    panel.file.value = str(tmp_path / "none" / "list.txt")
    panel.load_button.click()
    assert commands.join(30)
    assert "No such file" in panel.message.value
    assert told() == []
    with monkeypatch.context() as patch:  # on the command thread
        patch.setattr(own_ticker, "subscribe", broken)
        panel._add([INFY])
        assert commands.join(10)
    assert "not &lt;b&gt;thought&lt;/b&gt; of" in panel.message.value
    with monkeypatch.context() as patch:  # on the thread of the button
        patch.setattr(commands, "post", broken)
        panel.stop_button.click()
    error = repr(TypeError("not <b>thought</b> of"))
    assert told() == [f"Controls failed ({n}): {error}" for n in (1, 2)]
    panel._add([INFY])
    assert commands.join(10)
    assert "1 subscribed" in panel.message.value


def test_an_expired_token_is_said_in_the_panel(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, show: Show
) -> None:
    panel = controls(own_ticker, publisher, commands)
    listed = show(panel.subscribed)
    own_ticker.exchange.expire_tokens()
    own_ticker.exchange.abort()
    assert own_ticker.wait(
        until=lambda each: "expired" in each.connections()["state"].to_list(), timeout=PATIENCE
    )
    listed.say("ready")
    listed.wait(lambda each: "symbols" in each)
    assert "refused the access token" in panel.status.value


def test_stop_and_start_from_the_panel(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel.stop_button.click()
    assert commands.join(PATIENCE)
    assert not own_ticker.is_running
    panel.start_button.click()
    assert commands.join(PATIENCE)
    assert own_ticker.is_running
    assert isinstance(panel, ipywidgets.VBox)


def test_a_subscription_is_confirmed_by_a_tick_that_is_newer(
    own_ticker: kp.DemoTicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = SubscriptionList(own_ticker, remove=print, notice=lambda _: None)

    def look() -> list[int]:
        return list(listed._rows(Reading(own_ticker))["state"])

    def is_quiet(ticker: kp.Ticker) -> bool:
        last = ticker._held().latest()["received_at"].dt.epoch("ms").item()
        return bool(time.time() * 1000 - last > 300)

    assert look() == [CONFIRMED]
    own_ticker.exchange.silence(newcomers=True)
    assert own_ticker.wait(until=is_quiet, timeout=PATIENCE)
    own_ticker.unsubscribe([NIFTY])
    assert look() == []
    own_ticker.subscribe([NIFTY], mode="full")
    assert look() == [ASKED], "the tick that is held is older"
    monkeypatch.setattr("kitepolars.widgets.subscriptions.SILENT_AFTER", 0.0)
    assert look() == [SILENT]
