"""What `test_suspended.py` stops as a whole: a notebook on the market of `market_server.py`.

It prints "ready" when every instrument ticks. Then it reads the number that each must reach from
standard input, waits for it, and prints what is missing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import kitepolars as kp
from faults.soak import TOKENS, Account
from kitepolars.feed import clock, losses
from patience import PATIENCE

SUBSCRIBED = TOKENS[:600]

NOTICED_AFTER = 0.7
"""Seconds of a stall that is a gap here."""


def answer(line: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str) -> None:
    """Follow the market."""
    vars(clock)["_STALL_AFTER"] = int(NOTICED_AFTER * 1e9)  # three seconds are long
    vars(losses)["SETTLING"] = 0.3
    account = Account()
    ticker = kp.Ticker("key", "token", url=url, instruments=kp.Instruments.from_records([]))
    ticker.on_batch(account.take)
    with ticker:
        ticker.subscribe(list(SUBSCRIBED), mode="full")

        def has_reached(number: int) -> bool:
            return bool((account.last[: len(SUBSCRIBED)] >= number).all())

        ticker.wait(until=lambda _: has_reached(1), timeout=PATIENCE)
        answer("ready")
        number = int(sys.stdin.readline())
        ticker.wait(
            until=lambda ticker: has_reached(number) and ticker.gaps()["waiting"].sum() == 0,
            timeout=PATIENCE,
        )
        gaps = ticker.gaps()
        found = {
            "missed": account.missed,
            "unexplained": account.unexplained(gaps),
            "twice": account.twice,
            "backwards": account.backwards,
            "reached": has_reached(number),
            "reconnects": ticker.stats().reconnects,
            "reasons": gaps["reason"].to_list(),
            "seconds": (gaps["ended_at"] - gaps["started_at"]).dt.total_microseconds().to_list(),
        }
    answer(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
