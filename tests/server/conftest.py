"""The server is tested with clients, through the simulator that uses it."""

from __future__ import annotations

from sim.conftest import client as client  # noqa: PLC0414 - the fixtures are used here, too
from sim.conftest import kite as kite  # noqa: PLC0414
from sim.conftest import until as until  # noqa: PLC0414
