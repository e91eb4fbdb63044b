"""The table of packets and segments, against figures of Kite's documentation."""

from __future__ import annotations

import pytest

from kitepolars.wire.layouts import (
    DEPTH_FIELDS,
    LAYOUT_BY_LENGTH,
    LAYOUTS,
    SEGMENTS,
    Mode,
    layout_for,
    segment_divisors,
    segment_signs,
)


def test_lengths_are_those_of_the_documentation() -> None:
    lengths = {layout.name: layout.length for layout in LAYOUTS}
    assert lengths == {"ltp": 8, "quote": 44, "full": 184, "index_quote": 28, "index_full": 32}


def test_a_length_means_one_kind_of_packet() -> None:
    assert len(LAYOUT_BY_LENGTH) == len(LAYOUTS)


def test_codes_are_positions() -> None:
    assert [layout.code for layout in LAYOUTS] == list(range(len(LAYOUTS)))


def test_a_packet_is_preceded_by_its_length() -> None:
    assert all(layout.framed_dtype.itemsize == layout.length + 2 for layout in LAYOUTS)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("index", [True, False])
def test_every_mode_has_a_packet_for_indices_and_for_others(mode: Mode, *, index: bool) -> None:
    layout = layout_for(mode, index=index)
    assert layout.mode is mode
    assert layout.index in (index, None)


def test_a_book_has_six_columns() -> None:
    assert len(set(DEPTH_FIELDS)) == 6


@pytest.mark.parametrize(
    ("name", "divisor", "signed"),
    [("NSE", 100, True), ("CDS", 10_000_000, False), ("BCD", 10_000, False), ("MCX", 100, True)],
)
def test_prices_are_divided_as_documented(name: str, divisor: int, *, signed: bool) -> None:
    (code,) = (segment.code for segment in SEGMENTS.values() if segment.name == name)
    assert segment_divisors()[code] == divisor
    assert bool(segment_signs()[code]) is signed


def test_unknown_segments_are_signed_hundredths() -> None:
    assert segment_divisors()[200] == 100
    assert segment_signs()[200]
