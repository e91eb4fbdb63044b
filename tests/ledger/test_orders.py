"""Order updates: each once."""

from __future__ import annotations

from kitepolars.ledger.orders import Orders, OrderUpdate
from kitepolars.wire.control import parse


def test_distinct_updates_of_one_order_are_both_kept() -> None:
    orders, heard = Orders(), list[OrderUpdate]()
    orders.listen(heard.append)
    texts = [
        '{"type":"order","data":{"order_id":"1","status":"OPEN"}}',
        '{"type":"order","data":{"status":"OPEN","order_id":"1"}}',
        '{"type":"order","data":{"order_id":"1","status":"COMPLETE"}}',
        '{"type":"order","data":{"order_id":"1","status":"OPEN"}}',
    ]
    for n, text in enumerate(texts):
        orders.add(n, n, parse(text))
    kept = [(one.received_at, one.data["status"]) for one in orders.snapshot()]
    assert kept == [(0, "OPEN"), (2, "COMPLETE")]
    assert heard == list(orders.snapshot())
    assert len(orders) == 2


def test_what_is_no_order_is_not_kept() -> None:
    orders = Orders()
    orders.add(0, 0, parse("nonsense"))
    assert orders.snapshot() == ()
