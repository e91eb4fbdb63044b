from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

import pytest

from journal.recorded import ticks
from journal.writing import NOON, writing
from kitepolars.errors import JournalError
from kitepolars.journal.folder import sync_file
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


NOT_ON_WINDOWS: Final = pytest.mark.skipif(sys.platform == "win32", reason="fcntl is POSIX")


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the answers to the next requests to empty the cache of a drive, for a test to fill."""
    answers: list[object] = []

    def answer(_handle: int, request: str) -> None:
        assert request == "empty the cache"
        if isinstance(error := answers.pop(0), OSError):
            raise error

    monkeypatch.setattr("fcntl.F_FULLFSYNC", "empty the cache", raising=False)
    monkeypatch.setattr("fcntl.fcntl", answer)
    monkeypatch.setattr(sys, "platform", "darwin")
    return answers


@NOT_ON_WINDOWS
def test_on_macos_the_cache_of_the_drive_is_emptied(
    mac: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.delattr(os, "fsync")
    mac += [None]
    sync_file(7)
    assert not mac


@NOT_ON_WINDOWS
def test_a_network_drive_of_a_mac_is_synced_as_far_as_it_can(
    mac: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", synced.append)
    mac += [OSError(errno.ENOTSUP, "not supported")]
    sync_file(7)
    assert synced == [7]


@NOT_ON_WINDOWS
def test_a_disk_of_a_mac_that_is_full_is_not_taken_for_a_network_drive(mac: list[object]) -> None:
    mac += [OSError(errno.ENOSPC, "no space")]
    with pytest.raises(OSError, match="no space"):
        sync_file(7)
