from __future__ import annotations

from typing import Any

from kitepolars.sim import SimulatedKite
from sim.conftest import Until

INFY, SBIN = 408065, 779521


async def test_requests_are_recorded_in_order(
    kite: SimulatedKite, client: Any, until: Until
) -> None:
    async with client() as talking:
        await talking.ask("subscribe", [INFY, SBIN])
        await talking.ask("mode", ["full", [INFY]])
        await talking.ask("unsubscribe", [SBIN])
        await until(lambda kite: len(kite.requests) == 3)

    assert [(r.connection, r.action, r.tokens, r.mode) for r in kite.requests] == [
        (0, "subscribe", (INFY, SBIN), None),
        (0, "mode", (INFY,), "full"),
        (0, "unsubscribe", (SBIN,), None),
    ]
