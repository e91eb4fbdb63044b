"""Starting a recorder in a separate process, and finding one that runs. Any thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from kitepolars.errors import AuthenticationError, ConnectionLost, JournalError, NotRunning
from kitepolars.feed.account import Account
from kitepolars.journal.folder import make_private, private
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.places import LOG, require_posix
from kitepolars.recorder.request import READY, Request, credentials, without_credentials

_PROGRAM: Final = Path(__file__).with_name("__main__.py")


def find(folder: str | os.PathLike[str]) -> Recorder | None:
    """Return the recorder that writes a journal, or None if none does."""
    require_posix()
    try:
        return Recorder(folder)
    except NotRunning:
        return None


def launch(
    folder: str | os.PathLike[str], accounts: Sequence[Account], request: Request
) -> Recorder:
    """Start a recorder that outlives this process, and return once it records.

    Raises
    ------
    AuthenticationError, ConnectionLost, JournalError
        When it cannot connect, or cannot write.
    """
    require_posix()
    place = Path(folder)
    try:
        make_private(place)
        request.save(place)
    except OSError as error:
        raise JournalError(error.strerror or str(error), path=place) from error
    with open(place / LOG, "ab", opener=private) as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command(place), "--detach"],  # neither Ctrl-C nor the kernel's end reaches it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=without_credentials(os.environ, accounts),
        )
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    assert process.stdout is not None  # noqa: S101 - likewise
    with process.stdin, process.stdout:
        with suppress(BrokenPipeError):  # it ended at once, and says why
            process.stdin.write(credentials(accounts))
            process.stdin.close()
        said = process.stdout.readline().decode().strip()
    process.wait()  # which has detached, or failed
    if said != READY:
        raise _error(said, place)
    return Recorder(place)


def become(folder: Path, accounts: Sequence[Account], request: Request) -> NoReturn:
    """Turn this process into a recorder, which keeps its terminal and its process id."""
    require_posix()
    request.save(folder)
    read, write = os.pipe()
    os.write(write, credentials(accounts))  # a line, which a pipe takes at once
    os.close(write)
    os.dup2(read, sys.stdin.fileno())
    environment = without_credentials(os.environ, accounts)
    os.execve(sys.executable, command(folder), environment)  # noqa: S606 - our own interpreter


def command(folder: Path) -> list[str]:
    """Return the command of a recorder's process. It holds no credentials."""
    return [sys.executable, str(_PROGRAM), str(folder)]


def _error(said: str, folder: Path) -> Exception:
    kind, _, message = said.partition(": ")
    if kind == AuthenticationError.__name__:
        return AuthenticationError(message)
    if kind == ConnectionLost.__name__:
        return ConnectionLost(message, attempts=1)
    message = message or f"the recorder ended early; see {LOG}"
    return JournalError(message, path=folder)
