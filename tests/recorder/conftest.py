"""A simulated Kite that stands still, and a recorder that records it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kitepolars.feed.account import Account
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import launch
from kitepolars.sim import SimulatedKite
from recorder.recording import CANARY, request, stop


@pytest.fixture
def kite() -> Iterator[SimulatedKite]:
    with SimulatedKite(rate=0) as kite:
        yield kite


@pytest.fixture
def request_key(tmp_path: Path) -> str:
    return f"key{abs(hash(tmp_path))}"


@pytest.fixture
def recording(
    kite: SimulatedKite, tmp_path: Path, request_key: str
) -> Iterator[tuple[SimulatedKite, Path, Recorder]]:
    recorder = launch(tmp_path, [Account("main", request_key, CANARY)], request(kite))
    yield kite, tmp_path, recorder
    stop(tmp_path)
