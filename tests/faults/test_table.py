"""The fault tables of docs/reliability.md, row by row, with the default policy.

Time passes as quickly as the loop can turn, so that the six seconds are the feed's own. The figures
of the page: ``pytest tests/faults/test_table.py --log-cli-level=INFO``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.conftest import TOKENS, Machine, check
from faults.numbered import NumberedMarket, message
from faults.proxy import Admission, Proxy

if TYPE_CHECKING:
    from faults.conftest import Trial

_log = logging.getLogger(__name__)

NOTICED = 6.0
"""Seconds after which every fault must have been noticed."""

MIDDLE_OF_A_MESSAGE = b"\x82\x7e\x10\x00"
PING, PONG = b"\x89\x00", b"\x8a\x00"


@dataclass(frozen=True)
class Fault:
    """A row: how the connections break, what is sent on them every second, and the reason given."""

    name: str
    breaks: Callable[[NumberedMarket, Proxy], object]
    reason: str
    every_second: bytes = b""
    lasts: bool = False
    """Whether it lasts until an attempt to connect has failed."""


def frozen(_: NumberedMarket, proxy: Proxy) -> None:
    proxy.freeze()


def injecting(data: bytes) -> Callable[[NumberedMarket, Proxy], None]:
    def breaks(_: NumberedMarket, proxy: Proxy) -> None:
        proxy.freeze()  # ours come between two reads, and nothing of the server's after them
        proxy.inject(data)

    return breaks


def cut_then_hang(_: NumberedMarket, proxy: Proxy) -> None:
    proxy.admission = Admission.HANG
    proxy.reset()


def accept_then_close(_: NumberedMarket, proxy: Proxy) -> None:
    proxy.admission = Admission.CLOSE
    proxy.reset()


def refusing(*statuses: int) -> Callable[[NumberedMarket, Proxy], None]:
    def breaks(market: NumberedMarket, proxy: Proxy) -> None:
        market.refusals = list(statuses)
        proxy.reset()

    return breaks


def no_name(_: NumberedMarket, proxy: Proxy) -> None:
    proxy.is_known = False
    proxy.reset()


def nobody_listens(_: NumberedMarket, proxy: Proxy) -> None:
    proxy.refuse()
    proxy.reset()


FAULTS = (
    Fault("TCP reset", lambda _, proxy: proxy.reset(), "closed (code 1006"),
    Fault("orderly close", lambda market, _: market.close(), "closed (code 1001: maintenance"),
    Fault("end of the stream", lambda _, proxy: proxy.end(), "closed (code 1006"),
    Fault("half-open connection, or silence", frozen, "silent"),
    Fault("dripped bytes", injecting(MIDDLE_OF_A_MESSAGE), "silent", every_second=b"x"),
    Fault("pings only", frozen, "silent", every_second=PING),
    Fault("pongs only", frozen, "silent", every_second=PONG),
    Fault("garbage", injecting(bytes(range(255, 128, -1))), "closed (code 1006"),
    Fault("oversize message", injecting(b"\x82\x7f" + (2**40).to_bytes(8)), "closed (code 1006"),
    Fault("masked frame", injecting(b"\x82\x81abcd!"), "closed (code 1006"),
    Fault("cut, then handshakes hang", cut_then_hang, "closed (code 1006", lasts=True),
    Fault("cut, then accept and close", accept_then_close, "closed (code 1006", lasts=True),
    Fault("cut, then connections are refused", nobody_listens, "closed (code 1006", lasts=True),
    Fault("cut, then the name is not resolved", no_name, "closed (code 1006", lasts=True),
    Fault("cut, then HTTP 429 six times", refusing(*[429] * 6), "closed (code 1006"),
    Fault("cut, then HTTP 5xx six times", refusing(500, 502, 503, 504, 502, 500), "closed (code"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_detected_repaired_and_reported(trial: Trial, fault: Fault) -> None:
    loop = asyncio.get_running_loop()
    await trial.start()
    connections = trial.manager.stats().connected
    began = loop.time()
    fault.breaks(trial.market, trial.proxy)
    await trial.until(
        lambda: len(trial.lost_at) >= connections,
        every_second=lambda: trial.proxy.inject(fault.every_second),
    )
    noticed = trial.lost_at[connections - 1] - began
    assert noticed <= NOTICED
    if fault.lasts:
        await trial.until(lambda: has_failed(trial, connections))
        await trial.proxy.mend()
    await trial.until(trial.is_whole)
    _log.info(
        "%s: noticed after %.1f s, whole after %.1f", fault.name, noticed, loop.time() - began
    )
    assert sum(gap.instruments for gap in trial.gaps) == len(trial.manager.subscriptions())
    assert {gap.connection for gap in trial.gaps} == set(range(connections))
    assert len(trial.gaps) == connections
    for gap in trial.gaps:
        assert gap.reason.startswith(fault.reason)
    check(trial)


def has_failed(trial: Trial, connections: int) -> bool:
    """Whether an attempt to open a connection again has failed, or did not last."""
    return trial.count("refused") > 0 or trial.count("disconnected") > connections


@dataclass(frozen=True)
class Pause:
    """A time for which the feed did not run, while the server dropped what it did not take."""

    name: str
    seconds: int
    reason: str
    """How it is reported."""
    machine: Callable[[Machine, int], None] = Machine.stop
    is_late: bool = False
    """Whether the loop's own clock ran on."""
    is_unseen: bool = False
    """Whether only the next pulse notices it: what is read before that tells nothing."""


PAUSES = (
    Pause("interpreter lock held for 60 s", 60, "the event loop stood still for 60", is_late=True),
    Pause("machine suspended for an hour", 3_600, "the event loop stood still for 3600"),
    Pause(
        "virtual machine paused for an hour",
        3_600,
        "the wall clock was set forward",
        Machine.set,
        is_unseen=True,
    ),
)


@pytest.mark.parametrize("pause", PAUSES, ids=lambda pause: pause.name)
async def test_a_pause_is_a_gap_though_no_connection_is_lost(trial: Trial, pause: Pause) -> None:
    loop = asyncio.get_running_loop()
    await trial.start()
    connections = trial.manager.stats().connected
    await trial.pulse()
    trial.market.is_heard = False
    trial.market.number += 1_000
    pause.machine(trial.machine, pause.seconds)
    if pause.is_late:
        trial.clock.jump(pause.seconds)
        trial.market.is_heard = True  # what the buffers held comes before the gap is noticed
    began = loop.time()
    if pause.is_unseen:
        trial.market.is_heard = True
        number = trial.market.number
        await trial.turn()
        assert trial.market.number > number  # some of it was read
        assert not trial.gaps
    await trial.until(lambda: trial.gaps)
    trial.market.is_heard = True
    noticed = loop.time() - began
    assert noticed <= NOTICED
    await trial.until(trial.is_whole)
    _log.info(
        "%s: noticed after %.1f s, whole after %.1f", pause.name, noticed, loop.time() - began
    )
    await trial.settle()
    assert sorted(gap.connection for gap in trial.gaps) == list(range(connections))
    assert sum(gap.instruments for gap in trial.gaps) == len(TOKENS)
    for gap in trial.gaps:
        assert gap.reason.startswith(pause.reason)
        assert gap.ended_at is not None
        assert gap.ended_at - gap.started_at >= pause.seconds * 1_000_000
    assert trial.manager.stats().reconnects == 0
    check(trial)


async def test_a_clock_that_is_set_back_costs_nothing(trial: Trial) -> None:
    await trial.start()
    trial.machine.set(-3_600)
    await trial.until(lambda: trial.count("clock") > 0)
    number = trial.market.number
    await trial.until(lambda: trial.market.number > number + 20)
    await trial.until(trial.is_whole)
    assert trial.gaps == ()
    check(trial)


async def test_malformed_messages_among_good_ones_cost_themselves_only(trial: Trial) -> None:
    await trial.start()
    number = trial.market.number
    for data in (b"\x00\x02\x00\x08abc", b"\x00\x01\x00\x03abc", b"\xff" * 40, b"\x00\x00"):
        trial.market.send(data)
    trial.market.send(message({}))
    await trial.until(lambda: trial.market.number > number + 20)
    await trial.until(trial.is_whole)
    assert trial.pipeline.stats().rejected_messages + trial.pipeline.stats().rejected_packets > 0
    assert trial.count("rejected") > 0
    assert trial.gaps == ()
    assert trial.manager.stats().reconnects == 0
    check(trial)


async def test_one_connection_of_three_that_is_gone_for_good_costs_no_instrument(
    trial: Trial,
) -> None:
    await trial.start()
    trial.market.refusals = [503] * 1_000
    line = trial.proxy.lines[0]
    line.client.transport.abort()
    await trial.until(lambda: trial.count("failover") > 0)
    await trial.until(trial.is_whole)
    assert trial.manager.stats().connected == 2
    (gap,) = trial.gaps
    assert gap.waiting == 0
    assert gap.instruments == 8
    check(trial)


async def test_credentials_that_expire_in_mid_session_are_tried_once_and_renewed(
    trial: Trial,
) -> None:
    await trial.start()
    trial.market.refusals = [403]
    trial.proxy.reset()
    await trial.until(lambda: trial.manager.error() is not None)
    assert trial.market.refusals == []
    trial.manager.set_access_token("the token of today")
    await trial.until(trial.is_whole)
    assert trial.count("expired") == 1
    check(trial)


ELSEWHERE = {
    "malformed messages among good ones": (
        "faults/test_table.py::test_malformed_messages_among_good_ones_cost_themselves_only"
    ),
    "one connection of three refused for good": (
        "faults/test_table.py::test_one_connection_of_three_that_is_gone_for_good"
    ),
    "HTTP 403 in mid-session": (
        "faults/test_table.py::test_credentials_that_expire_in_mid_session_are_tried_once"
    ),
    "wall clock set back": "faults/test_table.py::test_a_clock_that_is_set_back_costs_nothing",
    "slow callback": "ticker/test_callbacks.py::test_a_slow_callback_misses_with_a_count",
    "failing or exiting callback": "test_streams.py::test_a_callback_that_raises_anything",
    "interpreter lock held for 60 s, with a recorder": (
        "recordings/test_following.py::test_a_notebook_that_holds_the_interpreters_lock_loses"
    ),
    "kernel killed, with a recorder": "recordings/test_following.py::test_a_killed_kernel_finds",
    "recorder killed at random moments": (
        "faults/test_recorder.py::test_a_recorder_that_is_killed_loses_nothing"
    ),
    "full disk": "journal/test_queue.py::test_what_a_full_disk_did_not_take_is_a_gap",
    "flipped bit in a recording": "journal/test_segments.py::test_a_flipped_bit",
}
"""Fault → the beginning of the name of its test."""


def test_the_tables_of_the_documentation_and_the_tests_agree() -> None:
    tests = Path(__file__).parents[1]
    text = (tests.parent / "docs" / "reliability.md").read_text("utf-8")
    section = text.partition("## The fault table")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| (?!fault |-)([^|]+) \|", section, re.MULTILINE)
    tested = [*(one.name for one in FAULTS), *(one.name for one in PAUSES), *ELSEWHERE]
    assert documented == tested
    for node in ELSEWHERE.values():
        file, _, name = node.partition("::")
        assert f"def {name}" in (tests / file).read_text("utf-8"), node
