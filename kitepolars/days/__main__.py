"""A recorder's publisher: ``python …/kitepolars/days/__main__.py FOLDER TABLE``. Main thread.

`kitepolars.recorder.publishing` runs it as a child of the recorder, and reads a line of JSON from
it whenever something was published or could not be. It ends when its standard input closes, and
publishes what the recorder left before that: so it cannot outlive its recorder by much, however
that ends. It is the first that the kernel ends when memory is short, and gives way to the recorder
where both want a core.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

NICENESS: Final = 10
"""How much lower than the recorder's its priority is."""

OOM_SCORE: Final = b"800"
"""Of 1,000: which process Linux ends first when memory is short."""


def main(folder: str, table: str) -> int:
    """Publish until standard input closes, and return the exit code."""
    from kitepolars.days.manifest import Table  # noqa: PLC0415 - the package is entered first
    from kitepolars.days.parquet import pyarrow_parquet  # noqa: PLC0415
    from kitepolars.days.publish import JournalPublisher, Published  # noqa: PLC0415
    from kitepolars.errors import KitePolarsError  # noqa: PLC0415

    stopping = threading.Event()
    threading.Thread(target=_watch_input, args=(stopping,), daemon=True).start()
    total = Published()
    try:
        pyarrow_parquet()  # raises here where it is missing, not after a quarter of an hour
        publisher = JournalPublisher(folder, Table(table))
        for added in publisher.follow(stopping.wait):
            total += added
            _say(rows=total.rows, until=_published_until(publisher))
        total += publisher.publish()
        _say(rows=total.rows, until=_published_until(publisher))
    except (KitePolarsError, OSError) as error:
        _say(error=str(error))
        return 1
    return 0


def _published_until(publisher: Any) -> int | None:
    """Return the arrival of the last published record, in microseconds since the epoch, UTC."""
    table, recorder = publisher.table, publisher.recorder
    for day in reversed(table.days()):
        manifest = table.manifest(day)
        if manifest is not None and recorder in manifest.progress:
            until: int = manifest.progress[recorder].until
            return until
    return None


def _watch_input(stopping: threading.Event) -> None:
    with suppress(OSError):
        sys.stdin.buffer.read()
    stopping.set()


def _say(**values: object) -> None:
    with suppress(BrokenPipeError):  # the recorder was killed: nothing reads it
        print(json.dumps(values), flush=True)  # noqa: T201 - the recorder reads it


def _give_way() -> None:
    """Take what the recorder leaves of processor time and memory, and leave signals to it."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # the recorder gets them, too, and closes the input
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(OOM_SCORE)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # instead of this file's folder
    _give_way()
    raise SystemExit(main(*sys.argv[1:]))
