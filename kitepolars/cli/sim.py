"""``kitepolars sim``: a simulated Kite on loopback, for any client. Main thread."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from kitepolars.sim import SimulatedKite, serve

HELP: Final = "run a simulated Kite on this machine"

PORT: Final = 8765


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``sim``."""
    parser.add_argument("--port", type=int, help=f"TCP port; 0 for a free one (default: {PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="ticks per second and instrument (default: 1)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the instruments and the market (default: 0)"
    )
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="FILE",
        help="write the instruments as CSV and exit, unless --port is given",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the dump if requested, and serve until Ctrl-C."""
    if arguments.dump is not None:
        arguments.dump.write_bytes(SimulatedKite(seed=arguments.seed).instruments.dump_csv())
        if arguments.port is None:
            return 0
    serve(
        host=arguments.host,
        port=PORT if arguments.port is None else arguments.port,
        rate=arguments.rate,
        seed=arguments.seed,
        on_ready=_announce,
    )
    return 0


def _announce(url: str) -> None:
    print(url)
    print(
        "Any API key works, with any access token except 'expired'. Press Ctrl-C to stop.",
        flush=True,
    )
