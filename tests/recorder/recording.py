"""Recorders in processes of their own, for the tests of the recorder and of what follows one."""

from __future__ import annotations

from pathlib import Path

from kitepolars.errors import JournalError
from kitepolars.journal.writer import JournalWriter
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.process import find
from kitepolars.recorder.request import Request
from kitepolars.sim import SimulatedKite
from kitepolars.wire.layouts import Mode
from patience import eventually

CANARY = "canary5e3d9token"
INFY, SBIN = 408065, 779521

Recording = tuple[SimulatedKite, Path, Recorder]


def request(kite: SimulatedKite, **options: object) -> Request:
    options = {"subscriptions": {INFY: Mode.FULL}, "listing": b"instrument_token\n", **options}
    return Request(url=kite.url, **options)  # type: ignore[arg-type]


def stop(folder: Path) -> None:
    """End the recorder of a folder, and wait for that."""
    if (recorder := find(folder)) is not None:
        recorder.ask("stop")
    eventually(lambda: can_write(folder))


def can_write(folder: Path) -> bool:
    try:
        JournalWriter(folder).close()
    except JournalError:
        return False
    return True


def durable(recorder: Recorder) -> bool:
    status = recorder.ask("status")
    is_written = status["durable_sequence"] == status["next_sequence"]
    return bool(is_written and not status["waiting_bytes"])


def pid_of(folder: Path) -> int:
    """Return the process that records into a folder."""
    pid: int = Recorder(folder).ask("status")["pid"]
    return pid
