from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from journal.recorded import ticks
from journal.writing import NOON, writing
from kitepolars.errors import JournalError
from kitepolars.journal.writer import JournalWriter


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ticks"
    before = os.umask(0)
    try:
        with writing(folder) as writer:
            writer.take(ticks(0, NOON))
    finally:
        os.umask(before)
    modes = {
        path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if (tmp_path / path).is_file()} == {0o600}
    assert len(modes) == 5


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError) as caught:
        JournalWriter(tmp_path / "file" / "ticks")
    assert caught.value.path == tmp_path / "file" / "ticks"
