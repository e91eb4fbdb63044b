"""The soak: every fault, again and again, at the rate of a market.

``SOAK_MINUTES=30 FAULT_SEED=7 make test ARGS="tests/faults/test_soak.py -s"`` plays half an hour
without and half an hour with a recorder, and shows what it found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from faults.soak import soak

SEED = int(os.environ.get("FAULT_SEED", "1"))
FAULTS = 15
"""Kinds of them; a recorder can be killed, too."""

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))


@pytest.mark.skipif(sys.platform == "win32", reason="usleep is POSIX")
@pytest.mark.parametrize(
    "is_recorded",
    [False, pytest.param(True, marks=pytest.mark.skipif(not MINUTES, reason="takes long"))],
    ids=["connected", "recorded"],
)
def test_nothing_is_lost_outside_gaps_at_the_rate_of_a_market(
    tmp_path: Path, *, is_recorded: bool
) -> None:
    folder = tmp_path / "ticks" if is_recorded else None
    if MINUTES:
        result = soak(seconds=60 * MINUTES, warm_up=120, between=8, seed=SEED, folder=folder)
    else:
        result = soak(seconds=75, warm_up=25, between=2.5, seed=SEED)
    sys.stdout.write(f"{result}\n")
    assert result.is_good, result
    assert len(result.faults) == FAULTS + is_recorded, result
    assert result.growth < (3 if MINUTES else 40), result  # percent: the shorter, the rougher
    assert result.ticks > 500_000, result
