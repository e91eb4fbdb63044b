"""How long a test waits for what must come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import pytest

PATIENCE: Final = 120.0
"""Seconds until a wait for another thread or process fails: far more than a busy machine needs."""


def eventually(condition: Callable[[], object]) -> None:
    """Wait for another thread to make a condition true."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it did not happen")
