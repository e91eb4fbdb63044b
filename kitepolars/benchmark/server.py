"""The server of `firehose` as a process of its own, ordered from here. Any thread."""

from __future__ import annotations

import json

from kitepolars.benchmark.firehose import Order, encode_order
from kitepolars.process import ServerProcess


class Firehose(ServerProcess):
    """A server process on loopback that sends what it is ordered to.

    Examples
    --------
    >>> with Firehose() as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        super().__init__("kitepolars.benchmark.firehose")

    def begin(self, order: Order) -> None:
        """Let it send over every open connection; `sent` waits for the end."""
        self.write_line(encode_order(order))

    def sent(self) -> list[int]:
        """Wait until what was begun is sent; return the packets by connection, without probes."""
        counts: list[int] = json.loads(self.read_line())
        return counts
