from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.wire import control
from kitepolars.wire.control import TextKind
from kitepolars.wire.layouts import Mode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_requests_are_json_with_numbers() -> None:
    assert json.loads(control.subscribe([408065, 884737])) == {
        "a": "subscribe",
        "v": [408065, 884737],
    }
    assert json.loads(control.unsubscribe([408065])) == {"a": "unsubscribe", "v": [408065]}
    assert json.loads(control.set_mode(Mode.FULL, [408065])) == {
        "a": "mode",
        "v": ["full", [408065]],
    }


@given(st.lists(st.integers(0, 2**32 - 1), max_size=1_700))
def test_batches_hold_at_most_500_and_lose_nothing(tokens: list[int]) -> None:
    batches = list(control.batches(tokens))
    assert [token for batch in batches for token in batch] == tokens
    assert all(1 <= len(batch) <= 500 for batch in batches)
    assert len(batches) == -(-len(tokens) // 500)


def test_an_order_keeps_its_fields() -> None:
    data = {"order_id": "220303000308932", "tradingsymbol": "INFY", "status": "UPDATE", "x": None}
    message = control.parse(json.dumps({"type": "order", "id": "", "data": data}))
    assert message.kind is TextKind.ORDER
    assert message.order == data
    assert message.detail == "220303000308932 INFY UPDATE"


def test_an_order_is_the_same_in_any_order_of_its_fields() -> None:
    one = control.parse('{"type":"order","data":{"a":1,"b":2}}')
    two = control.parse('{"data":{"b":2,"a":1},"type":"order","id":"x"}')
    three = control.parse('{"type":"order","data":{"a":1,"b":3}}')
    assert one.canonical == two.canonical != three.canonical


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        ('{"type":"error","data":"Too many"}', TextKind.ERROR, "Too many"),
        ('{"type":"message","data":"Margin ₹5"}', TextKind.MESSAGE, "Margin ₹5"),
        ('{"type":"error","data":["a"]}', TextKind.ERROR, '["a"]'),
        ('{"type":"error"}', TextKind.ERROR, "null"),
        (
            '{"type":"instruments_meta","data":{"count":5,"etag":"W/1"}}',
            TextKind.INSTRUMENTS_META,
            '{"count": 5, "etag": "W/1"}',
        ),
        (
            '{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}',
            TextKind.APP_CODE,
            "2025-08-04T13:50:28+05:30",
        ),
    ],
)
def test_known_kinds(text: str, kind: TextKind, detail: str) -> None:
    message = control.parse(text)
    assert (message.kind, message.detail, message.order) == (kind, detail, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "1",
        '{"type":"news","data":1}',
        '{"type":{},"data":1}',
        '{"type":"order","data":"no object"}',
        "[" * 60_000,
        '{"type":"order","data":{"deep":' + "[" * 30_000 + "]" * 30_000 + "}}",
        '{"type":"order","data":{"n":' + "9" * 20_000 + "}}",
        '{"type":"order","data":{"n":"' + "x" * 70_000 + '"}}',
    ],
)
def test_anything_else_is_unknown(text: str) -> None:
    message = control.parse(text)
    assert message.kind is TextKind.UNKNOWN
    assert message.order is None


def test_half_a_surrogate_pair_becomes_text() -> None:
    message = control.parse('{"type":"order","data":{"tag":"a\\ud800b"}}')
    assert message.order == {"tag": "a?b"}
    json.dumps(dict(message.order), ensure_ascii=False).encode()


@given(st.text() | JSON.map(json.dumps))
def test_no_text_raises(text: str) -> None:
    message = control.parse(text)
    assert message.detail.isprintable()
    assert len(message.detail) <= control.MAX_DETAIL + 1


@given(
    st.sampled_from([kind.value for kind in TextKind]),
    JSON,
    st.dictionaries(st.text(), JSON, max_size=3),
)
def test_no_message_raises(kind: str, data: object, extra: dict[str, object]) -> None:
    message = control.parse(json.dumps({**extra, "type": kind, "data": data}))
    assert message.detail.isprintable()
    assert (message.order is not None) == (message.kind is TextKind.ORDER)


def test_control_characters_are_shown_escaped() -> None:
    assert control.printable("a\n\x1b[31m\u202eb") == "a\\n\\x1b[31m\\u202eb"
    assert control.printable("x" * 600) == "x" * 500 + "…"
