"""Random schedules of faults: nothing is missing outside gaps, and everything comes back.

The number in a test's name is its seed: ``pytest tests/faults -k 'seed-17'`` plays that schedule
again. ``FAULT_SEEDS=1000`` plays that many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from faults.conftest import TOKENS, check
from faults.numbered import message
from faults.proxy import Admission
from kitepolars.wire.layouts import Mode

if TYPE_CHECKING:
    from faults.conftest import Trial

SEEDS = range(int(os.environ.get("FAULT_SEEDS", "20")))
STEPS = 12


def actions(trial: Trial, chance: random.Random) -> list[Callable[[], object]]:
    """Return what may happen next."""
    market, proxy, manager = trial.market, trial.proxy, trial.manager

    def admit(admission: Admission) -> None:
        proxy.admission = admission

    def refuse() -> None:
        market.refusals = [chance.choice([429, 500, 503]) for _ in range(chance.randrange(6))]

    def cut_one() -> None:
        if proxy.lines:
            chance.choice(proxy.lines).client.transport.abort()

    def freeze_one() -> None:
        if proxy.lines:
            chance.choice(proxy.lines).is_frozen = True

    def pause() -> None:
        market.number += 100  # which nobody takes in time
        trial.machine.stop(chance.choice([4, 60, 3_600]))

    def pause_the_virtual_machine() -> None:
        market.number += 100
        trial.machine.set(chance.choice([4, 60, 3_600]))

    return [
        pause,
        pause_the_virtual_machine,
        lambda: trial.machine.set(chance.choice([-3_600, -1, 1, 3_600])),
        cut_one,
        freeze_one,
        proxy.reset,
        proxy.end,
        proxy.freeze,
        market.close,
        refuse,
        lambda: proxy.inject(chance.randbytes(chance.randrange(1, 40))),
        lambda: market.send(chance.randbytes(chance.randrange(2, 60))),
        lambda: market.send(message({})),
        lambda: admit(Admission.HANG),
        lambda: admit(Admission.CLOSE),
        lambda: admit(Admission.FORWARD),
        lambda: manager.set_mode(chance.sample(TOKENS, 3), chance.choice(list(Mode))),
        lambda: trial.clock.jump(chance.choice([1.0, 10.0, 100.0])),  # a cell that holds the lock
    ]


@pytest.mark.parametrize("seed", SEEDS, ids="seed-{}".format)
async def test_nothing_is_missing_outside_gaps_and_everything_comes_back(
    trial: Trial, seed: int
) -> None:
    chance = random.Random(seed)
    await trial.start()
    for _ in range(STEPS):
        chance.choice(actions(trial, chance))()
        for _ in range(chance.randrange(1, 20)):
            await trial.turn()
    trial.proxy.admission, trial.market.refusals = Admission.FORWARD, []
    trial.manager.set_mode(TOKENS, Mode.FULL)
    await trial.until(trial.is_whole)
    await trial.settle()
    check(trial)
    number = trial.market.number
    await trial.until(lambda: trial.market.number > number + 5)
    check(trial)
