"""``python -m kitepolars.sim``: a simulated Kite that prints its URL and ends with its stdin."""

from __future__ import annotations

import argparse

from kitepolars.sim.standalone import serve


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m kitepolars.sim", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rate", type=float, default=1.0, help="packets a second and instrument")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    serve(**vars(arguments), until_stdin_closes=True)


if __name__ == "__main__":
    main()
