"""What is due when: the rate, the phases, and what is owed after a subscribe. No sockets."""

from __future__ import annotations

import json
from datetime import date

import pytest

from kitepolars.sim.exchange import Exchange
from kitepolars.sim.instruments import generate_instruments
from kitepolars.sim.session import Session

NOW = 1_795_494_600.0
COUNT = 1_000


def opened(rate: float) -> tuple[Exchange, Session]:
    """Return an exchange and a session whose snapshots have gone out."""
    master = generate_instruments(on=date(2026, 11, 24), seed=0)
    exchange = Exchange(master, now=NOW, seed=0, rate=rate, packets_per_message=3_000)
    session = Session(0, "key", "AB0001", limit=3_000)
    subscribe(session, *master.instrument_token[:COUNT].tolist())
    exchange.rest()
    assert sent(exchange, session) == COUNT
    return exchange, session


def subscribe(session: Session, *tokens: int) -> None:
    session.receive(json.dumps({"a": "subscribe", "v": tokens}))


def sent(exchange: Exchange, session: Session) -> int:
    return sum(packets for packets, _ in exchange.collect(session))


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_each_instrument_ticks_at_its_rate_and_not_all_at_once(rate: float) -> None:
    exchange, session = opened(rate)

    counts = []
    for cycle in range(40):
        exchange.advance(0.1, [session], NOW + cycle)
        counts.append(sent(exchange, session))

    assert sum(counts) == pytest.approx(COUNT * rate * 4, abs=2)
    assert max(counts) < 2 * COUNT * rate / 10
    assert min(counts) > COUNT * rate / 10 / 2


def test_a_late_cycle_yields_one_packet_an_instrument() -> None:
    exchange, session = opened(rate=2.0)

    exchange.advance(60.0, [session], NOW)

    assert sent(exchange, session) == COUNT


def test_nothing_is_due_at_rest_but_snapshots() -> None:
    exchange, session = opened(rate=1.0)
    before = exchange.market.last_values(0)

    exchange.rest()
    assert sent(exchange, session) == 0
    subscribe(session, 408065)
    exchange.rest()
    assert sent(exchange, session) == 1
    assert exchange.market.last_values(0) == before


def test_subscribe_and_mode_in_one_go_yield_one_snapshot_in_the_final_mode() -> None:
    exchange, session = opened(rate=0.0)
    new = int(exchange.master.instrument_token[COUNT])

    subscribe(session, new)
    session.receive(json.dumps({"a": "mode", "v": ["full", [new]]}))
    exchange.rest()
    ((packets, message),) = exchange.collect(session)

    assert (packets, len(message)) == (1, 188)
    exchange.rest()
    assert sent(exchange, session) == 0


def test_a_step_is_a_tick_of_everything_subscribed() -> None:
    exchange, session = opened(rate=0.0)

    exchange.advance(5.0, [session], NOW + 1)
    assert sent(exchange, session) == 0
    exchange.step(1.0, [session], NOW + 2)
    assert sent(exchange, session) == COUNT
    assert exchange.market.last_values(0)["exchange_timestamp"] == NOW + 2
    assert exchange.market.last_values(COUNT)["exchange_timestamp"] < NOW
