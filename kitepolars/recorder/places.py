"""The paths of a recorder's lock files and its socket."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

from kitepolars.errors import ConfigError, JournalError
from kitepolars.journal.folder import FOLDER_MODE
from kitepolars.journal.lock import FileLock

SOCKET: Final = "recorder.sock"
"""The control socket in a journal's folder."""

LOG: Final = "recorder.log"
"""What a recorder that a notebook started has to say, in a journal's folder."""

LONGEST_PATH: Final = 100
"""Bytes of a socket's path that every system takes (macOS: 103, Linux: 107)."""


def require_posix() -> None:
    """Raise where no recorder can run.

    Raises
    ------
    ConfigError
        On Windows.
    """
    if sys.platform == "win32":
        raise ConfigError(
            "recorder",
            "Windows",
            message="a recorder needs Linux, macOS or WSL; on Windows use ticker.record(...)",
        )


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a path by which a socket can be bound or reached, however deep its folder is."""
    whole = str(path.absolute())
    if len(os.fsencode(whole)) <= LONGEST_PATH:
        yield whole
        return
    with tempfile.TemporaryDirectory(prefix="kp-") as folder:
        link = Path(folder) / "j"
        link.symlink_to(path.absolute().parent, target_is_directory=True)
        yield str(link / path.name)


def connect(folder: Path, timeout: float) -> socket.socket:
    """Connect to the recorder of a journal.

    Raises
    ------
    OSError
        When there is none.
    """
    require_posix()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout)
        with short_path(folder / SOCKET) as path:
            client.connect(path)
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def claims(api_keys: list[str], folder: Path) -> Iterator[list[FileLock]]:
    """Hold the claim to record with API keys, of which Kite gives three connections each.

    Raises
    ------
    JournalError
        When another recorder of this user on this machine has one of them.
    """
    home = _private_folder()
    locks = []
    with ExitStack() as held:
        for api_key in sorted(set(api_keys)):
            name = blake2b(api_key.encode(), digest_size=12, person=b"kitepolars").hexdigest()
            path = home / f"{name}.lock"
            try:
                locks.append(held.enter_context(FileLock(path)))
            except BlockingIOError:
                raise JournalError(
                    "this API key is being recorded already", path=path.read_text("utf-8")
                ) from None
            path.write_text(str(folder.absolute()), "utf-8")
        yield locks


def _private_folder() -> Path:
    """Return a folder on this machine that only this user can access."""
    folder = Path(tempfile.gettempdir()) / f"kitepolars-{os.getuid()}"
    folder.mkdir(FOLDER_MODE, exist_ok=True)
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_ours or stat.S_IMODE(status.st_mode) & 0o077:
        raise JournalError("this folder belongs to another user or is not private", path=folder)
    return folder
