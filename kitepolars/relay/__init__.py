"""One feed for many clients: what a source delivers, served on a Kite-compatible WebSocket."""

from kitepolars.relay.service import Relay, RelayStats
from kitepolars.relay.tokens import RelayToken, RelayTokens

__all__ = ["Relay", "RelayStats", "RelayToken", "RelayTokens"]
