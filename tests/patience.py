"""How long a test waits for what must come."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 120.0
"""Seconds until a wait for another thread or process fails: far more than a busy machine needs."""
