"""A simulated Kite on loopback, for any client: instruments, market, protocol, faults.

`SimulatedKite` runs in a thread of this process; ``python -m kitepolars.sim`` and `serve` run it
as a separate process.
"""

from kitepolars.server.clients import ReceivedRequest
from kitepolars.sim.kite import SimulatedKite
from kitepolars.sim.record import ConnectionRecord, Handshake
from kitepolars.sim.standalone import serve

__all__ = ["ConnectionRecord", "Handshake", "ReceivedRequest", "SimulatedKite", "serve"]
