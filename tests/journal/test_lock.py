from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from journal.writing import writing
from kitepolars.errors import JournalError
from kitepolars.journal.lock import FileLock
from kitepolars.journal.writer import JournalWriter


def test_two_writers_of_a_journal_are_one_too_many(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(JournalError, match="another process records there"):
        JournalWriter(tmp_path)
    with writing(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="claims are a recorder's, of which it has none")
def test_a_lock_can_be_kept_from_looking_old(tmp_path: Path) -> None:
    path = tmp_path / "claim.lock"
    with FileLock(path) as claim:
        os.utime(path, (0, 0))  # so old that the system would delete it
        claim.refresh()
        assert path.stat().st_mtime > 0
