"""The transport of a replay: what it shows, and what its buttons do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kitepolars as kp
from kitepolars.playback import ReplayTicker
from kitepolars.widgets import Transport
from kitepolars.widgets.threads import CommandQueue, Publisher
from patience import PATIENCE
from widgets.page import Page

Show = Callable[..., Page]


@pytest.fixture
def replay() -> Iterator[ReplayTicker]:
    with kp.sample(speed=1.0) as ticker:
        yield ticker


@pytest.fixture
def page(replay: ReplayTicker, publisher: Publisher, commands: CommandQueue, show: Show) -> Page:
    page = show(Transport(replay, publisher=publisher, commands=commands))
    page.say("ready")
    page.wait(lambda content: content["kind"] == "snapshot")
    return page


def shown(page: Page, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the first message from now on that fulfils a condition."""
    content, _ = page.wait(
        lambda each: "begin" in each and condition(each), beyond=len(page.received)
    )
    return content


def test_it_shows_where_the_replay_stands(replay: ReplayTicker, page: Page) -> None:
    content = shown(page, lambda each: each["now"] > each["begin"])
    position = replay.position
    assert content["begin"] == 1000 * position.begin.timestamp()
    assert content["end"] == 1000 * position.end.timestamp()
    assert content["playing"] is True
    assert content["speed"] == 1.0


def test_pause_and_play(replay: ReplayTicker, page: Page) -> None:
    page.say("pause")
    assert shown(page, lambda each: not each["playing"])["over"] is False
    assert replay.is_paused
    page.say("play")
    shown(page, lambda each: each["playing"])
    assert not replay.is_paused


def test_a_seek_goes_there_and_marks_the_gap_that_was_passed(
    replay: ReplayTicker, page: Page
) -> None:
    page.say("pause")
    end = 1000 * replay.position.end.timestamp()
    page.say("seek", at=end - 1000)
    gaps = shown(page, lambda each: each["now"] >= end - 1000 and each["gaps"])["gaps"]
    page.say("seek", at=0)  # before the beginning: to the beginning
    content = shown(page, lambda each: each["now"] < end - 10_000)
    assert content["now"] == content["begin"]
    assert content["gaps"] == gaps, "gaps that lie ahead stay marked"


def test_as_fast_as_possible_until_the_end_and_again_from_the_beginning(
    replay: ReplayTicker, page: Page
) -> None:
    page.say("speed", speed=None)
    content = shown(page, lambda each: each["over"])
    assert (content["playing"], content["speed"]) == (False, None)
    page.say("speed", speed=0.5)
    page.say("play")
    content = shown(page, lambda each: each["playing"])
    assert content["now"] < content["end"]
    assert replay.speed == 0.5


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_an_impossible_speed_is_shown_in_the_widget(
    replay: ReplayTicker, page: Page, speed: float
) -> None:
    page.say("speed", speed=speed)
    page.wait(lambda content: "a number above 0" in content.get("notice", ""))
    assert replay.speed == 1.0


@pytest.mark.parametrize("at", ["soon", None, math.inf, {}])
def test_a_malformed_seek_is_ignored(
    replay: ReplayTicker, page: Page, commands: CommandQueue, at: object
) -> None:
    page.say("pause")
    before = shown(page, lambda each: not each["playing"])["now"]
    page.say("seek", at=at)
    assert commands.join(PATIENCE)
    assert 1000 * replay.position.now.timestamp() == before
    assert replay.events().filter(kind="widget").is_empty()
