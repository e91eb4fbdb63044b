"""A Kite on loopback that real clients cannot tell from Kite: market, protocol, faults.

`SimulatedKite` runs in a thread of this process, `serve` is the whole of a
process of its own, and ``python -m kitepolars.sim`` starts one.
"""

from kitepolars.sim.kite import SimulatedKite
from kitepolars.sim.record import ConnectionRecord, Handshake
from kitepolars.sim.session import Request
from kitepolars.sim.standalone import serve

__all__ = ["ConnectionRecord", "Handshake", "Request", "SimulatedKite", "serve"]
