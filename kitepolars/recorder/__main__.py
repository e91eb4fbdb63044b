"""The recorder's process: ``python …/kitepolars/recorder/__main__.py FOLDER [--detach]``.

Run by its path and not as a module, it does not load the package's `__init__`, and so neither
Polars nor the analytics. `kitepolars.recorder.process` starts it and hands over what to record.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from types import ModuleType

EXIT_REFUSED = 77
"""The exit code when Kite refused the credentials (EX_NOPERM): a new attempt needs a new token."""

DETACH = "--detach"
"""The option of a recorder that outlives the kernel that starts it."""


def enter_package() -> None:
    """Let modules of the package be imported without its `__init__`."""
    folder = Path(__file__).resolve().parents[1]
    sys.path[0] = str(folder.parent)  # instead of this file's folder
    package = ModuleType(folder.name)
    package.__path__ = [str(folder)]
    sys.modules.setdefault(folder.name, package)


def main(folder: str) -> int:
    """Record into a folder until the end, and return the exit code."""
    from kitepolars.errors import AuthenticationError, KitePolarsError  # noqa: PLC0415 - the package is entered first
    from kitepolars.recorder.request import READY, Request, read_credentials  # noqa: PLC0415
    from kitepolars.recorder.service import RecorderService  # noqa: PLC0415

    def ready() -> None:
        print(READY, flush=True)  # noqa: T201 - the process that started it waits for this line

    async def record() -> None:
        accounts = read_credentials(sys.stdin.fileno())
        await RecorderService(
            Path(folder), Request.take(Path(folder)), accounts, on_ready=ready
        ).run()

    try:
        asyncio.run(record())
    except (KitePolarsError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201 - likewise
        return EXIT_REFUSED if isinstance(error, AuthenticationError) else 1
    return 0


def detach() -> None:
    """Continue as a separate session that is not a child of the process that started it."""
    if os.fork():
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    if DETACH in sys.argv:
        detach()
    enter_package()
    raise SystemExit(main(sys.argv[1]))
