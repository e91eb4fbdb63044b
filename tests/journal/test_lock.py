from __future__ import annotations

from pathlib import Path

import pytest

from journal.writing import writing
from kitepolars.errors import JournalError
from kitepolars.journal.writer import JournalWriter


def test_two_writers_of_a_journal_are_one_too_many(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(JournalError, match="another process records there"):
        JournalWriter(tmp_path)
    with writing(tmp_path):
        pass
