"""What is due when: the rate, the phases, and what is owed after a subscribe. No sockets."""

from __future__ import annotations

import json
from datetime import date

import pytest

from kitepolars.server.clients import Subscriptions
from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import generate_instruments

NOW = 1_795_494_600.0
COUNT = 1_000


def opened(rate: float) -> tuple[Exchange, Subscriptions]:
    """Return an exchange and a client whose snapshots have gone out."""
    master = generate_instruments(on=date(2026, 11, 24), seed=0)
    exchange = Exchange(master, now=NOW, seed=0, rate=rate, packets_per_message=3_000)
    client = Subscriptions(0, "key", "AB0001", limit=3_000)
    subscribe(client, *master.instrument_token[:COUNT].tolist())
    exchange.rest()
    assert sent(exchange, client) == COUNT
    return exchange, client


def subscribe(client: Subscriptions, *tokens: int) -> None:
    client.receive(json.dumps({"a": "subscribe", "v": tokens}))


def sent(exchange: Exchange, client: Subscriptions) -> int:
    return sum(packets for packets, _ in exchange.collect(client))


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_each_instrument_ticks_at_its_rate_and_not_all_at_once(rate: float) -> None:
    exchange, client = opened(rate)

    counts = []
    for cycle in range(40):
        exchange.advance(0.1, [client], NOW + cycle)
        counts.append(sent(exchange, client))

    assert sum(counts) == pytest.approx(COUNT * rate * 4, abs=2)
    assert max(counts) < 2 * COUNT * rate / 10
    assert min(counts) > COUNT * rate / 10 / 2


def test_a_late_cycle_yields_one_packet_an_instrument() -> None:
    exchange, client = opened(rate=2.0)

    exchange.advance(60.0, [client], NOW)

    assert sent(exchange, client) == COUNT


def test_nothing_is_due_at_rest_but_snapshots() -> None:
    exchange, client = opened(rate=1.0)
    before = exchange.market.last_values(0)

    exchange.rest()
    assert sent(exchange, client) == 0
    subscribe(client, 408065)
    exchange.rest()
    assert sent(exchange, client) == 1
    assert exchange.market.last_values(0) == before


def test_subscribe_and_mode_in_one_go_yield_one_snapshot_in_the_final_mode() -> None:
    exchange, client = opened(rate=0.0)
    new = int(exchange.master.instrument_token[COUNT])

    subscribe(client, new)
    client.receive(json.dumps({"a": "mode", "v": ["full", [new]]}))
    exchange.rest()
    ((packets, message),) = exchange.collect(client)

    assert (packets, len(message)) == (1, 188)
    exchange.rest()
    assert sent(exchange, client) == 0


def test_a_step_is_a_tick_of_everything_subscribed() -> None:
    exchange, client = opened(rate=0.0)

    exchange.advance(5.0, [client], NOW + 1)
    assert sent(exchange, client) == 0
    exchange.step(1.0, [client], NOW + 2)
    assert sent(exchange, client) == COUNT
    assert exchange.market.last_values(0)["exchange_timestamp"] == NOW + 2
    assert exchange.market.last_values(COUNT)["exchange_timestamp"] < NOW
