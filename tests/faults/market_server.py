"""A market of 9,000 numbered instruments behind a proxy that breaks: the soak's server.

Run as a script by `soak.py`: it prints its URL, obeys the faults that it reads from standard input,
one JSON array a line, and answers each with the number that it has reached. It shares no code with
the package. The count of volume of every packet is its number, ten higher than that of the packet
before of the same instrument, so that what a client has missed shows in what it has.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.numbered import NumberedMarket
from faults.proxy import Admission, Proxy

PARTS = 10
"""Of which one ticks at a time."""

INTERVAL = 0.05
"""Seconds between two parts: each instrument ticks twice a second."""

MOST_WAITING = 4 * 2**20
"""Bytes that may wait for a client: what it does not take in time is dropped, as Kite does."""

IN_MESSAGE = 100
LENGTH = 184
_FULL = np.dtype([("length", ">u2"), ("packet", ">u4", LENGTH // 4)])
_TOKEN, _PRICE, _VOLUME, _EXCHANGE_TIME = 0, 1, 4, 15


def part_of(token: int) -> int:
    """Return the part to which an instrument belongs."""
    return (token >> 8) % PARTS


def messages(tokens: list[int], numbers: list[int], time: int) -> list[bytes]:
    """Return full packets of instruments, a hundred a message."""
    framed = np.zeros(len(tokens), _FULL)
    framed["length"] = LENGTH
    packet = framed["packet"]
    packet[:, _TOKEN], packet[:, _VOLUME] = tokens, numbers
    packet[:, _PRICE], packet[:, _EXCHANGE_TIME] = 10_000, time
    parts = [framed[i : i + IN_MESSAGE] for i in range(0, len(framed), IN_MESSAGE)]
    return [struct.pack(">H", len(part)) + part.tobytes() for part in parts]


class LargeMarket(NumberedMarket):
    """A `NumberedMarket` of full packets at the rate of a market."""

    started = 1_795_146_300
    """The exchange time of the number 0, in seconds since the epoch."""

    def number_of(self, token: int) -> int:
        """Return the number of the last packet of an instrument."""
        return self.number - (self.number - part_of(token)) % PARTS

    def _obey(self, connection: Any, modes: dict[int, str], asked: dict[str, Any]) -> None:
        if asked["a"] == "subscribe":
            modes.update(dict.fromkeys(asked["v"], "quote"))
            self._send(connection, asked["v"])  # the cached values
        else:
            super()._obey(connection, modes, asked)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        begin, first = loop.time(), self.number
        while True:
            self.number += 1
            part = self.number % PARTS
            for connection, modes in tuple(self.open.items()) if self.is_heard else ():
                self._send(connection, [token for token in modes if part_of(token) == part])
                if not modes:
                    self._put(connection, b"\x00")
            await asyncio.sleep(begin + (self.number - first) * self.interval - loop.time())

    def _send(self, connection: Any, tokens: list[int]) -> None:
        numbers = [self.number_of(token) for token in tokens]
        for data in messages(tokens, numbers, self.started + self.number // 20):
            if connection.transport.get_write_buffer_size() < MOST_WAITING:
                self._put(connection, data)


def break_something(market: LargeMarket, proxy: Proxy, fault: str, *values: Any) -> None:
    """Do what a line asks for."""
    lines = proxy.lines
    if fault == "cut" and lines:
        lines[values[0] % len(lines)].client.transport.abort()
    elif fault == "freeze" and lines:
        lines[values[0] % len(lines)].is_frozen = True
    elif fault in {"reset", "end"}:
        getattr(proxy, fault)()
    elif fault == "close":
        market.close()
    elif fault == "hear":
        market.is_heard = values[0]
    elif fault == "refuse":
        market.refusals = list(values)
    elif fault == "inject":
        proxy.inject(bytes.fromhex(values[0]))
    elif fault == "malformed":
        market.send(bytes.fromhex(values[0]))
    elif fault == "admit":
        proxy.admission = Admission[values[0]]


def answer(value: object) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with LargeMarket(interval=INTERVAL, number=PARTS) as market, Proxy(market.url) as proxy:
        answer(proxy.url)
        while line := await reader.readline():
            fault, *values = json.loads(line)
            if fault == "pass":
                await asyncio.sleep(values[0] * INTERVAL)
            else:
                break_something(market, proxy, fault, *values)
            answer(market.number)


if __name__ == "__main__":
    asyncio.run(main())
