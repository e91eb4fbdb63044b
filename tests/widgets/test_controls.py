"""The subscription panel: subscribe, change, remove, undo, errors, start and stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

import kitepolars as kp
from kitepolars.widgets import Controls
from kitepolars.widgets.subscriptions import modes_of
from kitepolars.widgets.threads import CommandQueue, Publisher
from kitepolars.wire.layouts import Mode
from patience import PATIENCE
from widgets.page import INFY, NIFTY, RELIANCE, Page

Show = Callable[..., Page]
Subscribed = Callable[[], dict[int, str]]


def controls(
    ticker: kp.Ticker, publisher: Publisher, commands: CommandQueue, **settings: Any
) -> Controls:
    return Controls(ticker, publisher=publisher, commands=commands, **settings)


@pytest.fixture(scope="module")
def shared_ticker() -> Iterator[kp.DemoTicker]:
    """Run one ticker for all tests that change its subscriptions only."""
    with kp.demo(instruments=[NIFTY], rate=10) as running:
        yield running


@pytest.fixture
def panel(shared_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue) -> Controls:
    """Return a panel on a ticker whose only subscription is NIFTY 50."""
    shared_ticker.unsubscribe(list(modes_of(shared_ticker.subscriptions())))
    shared_ticker.subscribe([NIFTY], mode="full")
    return controls(shared_ticker, publisher, commands, mode="full")


@pytest.fixture
def subscribed(shared_ticker: kp.DemoTicker, commands: CommandQueue) -> Subscribed:
    """Return what lets the panel's commands end, and then returns the mode of each instrument."""

    def modes() -> dict[int, str]:
        assert commands.join(PATIENCE)
        return modes_of(shared_ticker.subscriptions())

    return modes


def test_a_search_finds_an_instrument(panel: Controls, show: Show) -> None:
    search = show(panel._search)
    search.say("ready")
    search.say("query", text="infy")
    found, _ = search.wait(lambda each: each.get("text") == "infy" and each["hits"])
    assert found["hits"][0]["token"] == INFY


def test_what_is_added_is_subscribed_and_listed(
    panel: Controls, subscribed: Subscribed, show: Show
) -> None:
    search, listed = show(panel._search), show(panel._subscribed, "list")
    search.say("ready")
    listed.say("ready")
    listed.wait(lambda each: each.get("symbols") == ["NSE:NIFTY 50"])
    search.say("add", tokens=[INFY, RELIANCE])
    listed.wait(lambda each: len(each.get("symbols", ())) == 3)
    assert subscribed() == {NIFTY: "full", INFY: "full", RELIANCE: "full"}
    assert "2 subscribed" in panel._message.value


def test_a_mode_button_changes_the_selected_instruments(
    panel: Controls, subscribed: Subscribed, show: Show
) -> None:
    listed = show(panel._subscribed, "list")
    listed.say("ready")
    listed.say("selection", tokens=[NIFTY])
    panel._mode_buttons[Mode.LTP].click()
    assert subscribed() == {NIFTY: "ltp"}


def test_an_instrument_is_removed_from_its_row(
    panel: Controls, subscribed: Subscribed, show: Show
) -> None:
    panel._add([INFY, RELIANCE])
    show(panel._subscribed, "list").say("remove", tokens=[RELIANCE])
    assert set(subscribed()) == {NIFTY, INFY}


def test_changes_are_undone_from_the_last_to_the_first(
    panel: Controls, subscribed: Subscribed, show: Show
) -> None:
    listed = show(panel._subscribed, "list")
    panel._add([INFY, RELIANCE])
    listed.say("selection", tokens=[INFY])
    panel._mode_buttons[Mode.LTP].click()
    listed.say("remove", tokens=[RELIANCE])
    for expected in ({INFY: "ltp", RELIANCE: "full"}, {INFY: "full", RELIANCE: "full"}, {}):
        panel._undo_button.click()
        assert subscribed() == {NIFTY: "full", **expected}


def test_with_nothing_to_undo_the_panel_says_so(panel: Controls, commands: CommandQueue) -> None:
    panel._undo_button.click()
    assert commands.join(PATIENCE)
    assert "Nothing to undo" in panel._message.value


@pytest.mark.parametrize(
    ("default", "asked", "chosen"),
    [("full", None, "full"), ("ltp", None, "ltp"), ("full", "quote", "quote")],
)
def test_the_panel_subscribes_in_the_default_mode_of_its_ticker(
    default: str, asked: str | None, chosen: str
) -> None:
    ticker = kp.Ticker("key", "token", default_mode=default)
    assert Controls(ticker, mode=asked)._mode.value == chosen


def test_buttons_without_a_selection_ask_for_one(panel: Controls) -> None:
    panel._add_button.click()
    assert "Search first" in panel._message.value
    panel._remove_button.click()
    assert "Select rows" in panel._message.value


def test_a_lack_of_room_is_shown(
    shared_ticker: kp.DemoTicker, panel: Controls, commands: CommandQueue
) -> None:
    panel._add(shared_ticker.instruments.frame["instrument_token"].head(9_001).to_list())
    assert commands.join(PATIENCE)
    assert "there is room for" in panel._message.value


def test_pasted_names_are_subscribed_and_the_unknown_ones_shown(
    panel: Controls, subscribed: Subscribed
) -> None:
    panel._paste.value = "NSE:INFY ltp\nNSE:INFI\n" + "\n".join(f"NSE:X{n}" for n in range(9))
    panel._paste_button.click()
    assert subscribed()[INFY] == "ltp"
    assert "INFI" in panel._message.value
    assert "… and 5 more" in panel._message.value


def test_a_file_that_cannot_be_opened_is_shown(
    panel: Controls, commands: CommandQueue, tmp_path: Path
) -> None:
    panel._file.value = str(tmp_path / "none" / "list.txt")
    for button in (panel._load_button, panel._save_button):
        button.click()
        assert commands.join(PATIENCE)
        assert "No such file" in panel._message.value


def test_a_saved_watch_list_is_loaded_again(
    shared_ticker: kp.DemoTicker, panel: Controls, subscribed: Subscribed, tmp_path: Path
) -> None:
    shared_ticker.subscribe([INFY], mode="ltp")
    before = subscribed()
    panel._file.value = str(tmp_path / "list.txt")
    panel._save_button.click()
    assert subscribed() == before
    shared_ticker.unsubscribe([*before])
    panel._load_button.click()
    assert subscribed() == before


def broken(*_: object, **__: object) -> None:
    raise TypeError("not <b>thought</b> of")


def faults_of(ticker: kp.Ticker) -> list[str]:
    return ticker.events().filter(kind="widget")["detail"].to_list()


def test_what_a_user_may_cause_is_shown_and_is_no_event(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, tmp_path: Path
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel._add(own_ticker.instruments.frame["instrument_token"].head(9_001).to_list())
    panel._file.value = str(tmp_path / "none" / "list.txt")
    panel._load_button.click()
    assert commands.join(PATIENCE)
    assert "No such file" in panel._message.value
    assert faults_of(own_ticker) == []


def test_a_fault_of_the_panel_is_an_event_and_the_panel_works_on(
    own_ticker: kp.DemoTicker,
    publisher: Publisher,
    commands: CommandQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = controls(own_ticker, publisher, commands)
    with monkeypatch.context() as patch:  # on the command thread
        patch.setattr(own_ticker, "subscribe", broken)
        panel._add([INFY])
        assert commands.join(PATIENCE)
    assert "not &lt;b&gt;thought&lt;/b&gt; of" in panel._message.value
    with monkeypatch.context() as patch:  # on the thread of the button
        patch.setattr(commands, "post", broken)
        panel._stop_button.click()
    error = repr(TypeError("not <b>thought</b> of"))
    assert faults_of(own_ticker) == [f"Controls failed ({n}): {error}" for n in (1, 2)]
    panel._add([INFY])
    assert commands.join(PATIENCE)
    assert "1 subscribed" in panel._message.value


def test_an_expired_token_is_shown_in_the_panel(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, show: Show
) -> None:
    panel = controls(own_ticker, publisher, commands)
    listed = show(panel._subscribed)
    own_ticker.exchange.expire_tokens()
    own_ticker.exchange.abort()
    assert own_ticker.wait(
        until=lambda each: "expired" in each.connections()["state"].to_list(), timeout=PATIENCE
    )
    listed.say("ready")
    listed.wait(lambda each: "symbols" in each)
    assert "refused the access token" in panel._status.value


def test_stop_and_start_from_the_panel(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel._stop_button.click()
    assert commands.join(PATIENCE)
    assert not own_ticker.is_running
    panel._start_button.click()
    assert commands.join(PATIENCE)
    assert own_ticker.is_running
    assert isinstance(panel, ipywidgets.VBox)
