"""The fixture that lets a writer try a failed disk again at once."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitepolars.journal.writer.RETRY", 0.01)
