"""The subscription panel: subscribe, change, remove, undo, errors, start and stop."""

from __future__ import annotations

from collections.abc import Callable
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


def controls(
    ticker: kp.Ticker, publisher: Publisher, commands: CommandQueue, **settings: Any
) -> Controls:
    return Controls(ticker, publisher=publisher, commands=commands, **settings)


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
    assert "Nothing to undo" in panel.message.value


@pytest.mark.parametrize(
    ("default", "asked", "chosen"),
    [("full", None, "full"), ("ltp", None, "ltp"), ("full", "quote", "quote")],
)
def test_the_panel_subscribes_in_the_default_mode_of_its_ticker(
    default: str, asked: str | None, chosen: str
) -> None:
    ticker = kp.Ticker("key", "token", default_mode=default)
    assert Controls(ticker, mode=asked).mode.value == chosen


def test_buttons_without_a_selection_ask_for_one(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel.add_button.click()
    assert "Search first" in panel.message.value
    panel.remove_button.click()
    assert "Select rows" in panel.message.value


def test_a_lack_of_room_is_shown(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel._add(own_ticker.instruments.frame["instrument_token"].head(9_001).to_list())
    assert commands.join(PATIENCE)
    assert "there is room for" in panel.message.value


def test_pasted_names_are_subscribed_and_the_unknown_ones_shown(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel.paste.value = "NSE:INFY ltp\nNSE:INFI\n" + "\n".join(f"NSE:X{n}" for n in range(9))
    panel.paste_button.click()
    assert commands.join(PATIENCE)
    assert "INFI" in panel.message.value
    assert "… and 5 more" in panel.message.value
    assert modes_of(own_ticker.subscriptions())[INFY] == "ltp"


def test_a_file_that_cannot_be_opened_is_shown(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, tmp_path: Path
) -> None:
    panel = controls(own_ticker, publisher, commands)
    panel.file.value = str(tmp_path / "none" / "list.txt")
    for button in (panel.load_button, panel.save_button):
        button.click()
        assert commands.join(PATIENCE)
        assert "No such file" in panel.message.value


def test_a_saved_watch_list_is_loaded_again(
    own_ticker: kp.DemoTicker, publisher: Publisher, commands: CommandQueue, tmp_path: Path
) -> None:
    panel = controls(own_ticker, publisher, commands)
    own_ticker.subscribe([INFY], mode="ltp")
    before = modes_of(own_ticker.subscriptions())
    panel.file.value = str(tmp_path / "list.txt")
    panel.save_button.click()
    assert commands.join(PATIENCE)
    own_ticker.unsubscribe([*before])
    panel.load_button.click()
    assert commands.join(PATIENCE)
    assert modes_of(own_ticker.subscriptions()) == before


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


def test_an_expired_token_is_shown_in_the_panel(
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
