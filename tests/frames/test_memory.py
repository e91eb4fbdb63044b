"""Memory that is reused, bitmaps, and one piece of memory for all columns."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.frames.memory import PREPARED_FROM, Bitmap, Slabs, allocate


def test_memory_in_use_is_not_given_twice() -> None:
    slabs = Slabs()
    kept = slabs.take(64)
    view = kept[8:16].view(np.int64)
    place = kept.ctypes.data
    del kept  # a view keeps it
    assert slabs.take(64).ctypes.data != place
    view[0] = 7
    assert view[0] == 7


def test_only_memory_of_the_same_size_is_reused() -> None:
    slabs = Slabs()
    place = slabs.take(64).ctypes.data
    larger = slabs.take(128)
    assert (len(larger), larger.ctypes.data != place) == (128, True)


def test_prepared_memory_is_taken_when_it_fits() -> None:
    slabs = Slabs()
    slabs.prepare(PREPARED_FROM)
    prepared = slabs._prepared
    assert prepared is not None
    [slab] = prepared.slabs()
    assert not slab.any()
    assert slabs.take(PREPARED_FROM).ctypes.data == slab.ctypes.data
    assert slabs._prepared is None


def test_memory_is_prepared_once() -> None:
    slabs = Slabs()
    slabs.prepare(PREPARED_FROM)
    prepared = slabs._prepared
    slabs.prepare(PREPARED_FROM)
    assert slabs._prepared is prepared
    assert len(slabs.take(PREPARED_FROM)) == PREPARED_FROM


def test_memory_that_can_be_reused_is_preferred_to_what_was_prepared() -> None:
    slabs = Slabs()
    taken = slabs.take(PREPARED_FROM)
    place = taken.ctypes.data
    slabs.prepare(PREPARED_FROM)
    del taken
    assert slabs.take(PREPARED_FROM).ctypes.data == place  # it is present already
    assert slabs._prepared is None


def test_prepared_memory_that_does_not_fit_is_not_taken() -> None:
    slabs = Slabs()
    slabs.prepare(PREPARED_FROM)
    assert len(slabs.take(PREPARED_FROM + 1)) == PREPARED_FROM + 1


def test_a_little_memory_is_not_worth_a_thread() -> None:
    slabs = Slabs()
    slabs.prepare(PREPARED_FROM - 1)
    assert slabs._prepared is None


@given(st.lists(st.lists(st.booleans(), max_size=20), max_size=8))
def test_a_bitmap_written_in_parts_has_all_bits(parts: list[list[bool]]) -> None:
    bits = [bit for part in parts for bit in part]
    bitmap = Bitmap(len(bits))
    start = 0
    for part in parts:
        bitmap.write(start, np.array(part, np.bool_))
        start += len(part)
    read = np.unpackbits(bitmap.bytes, bitorder="little")[: len(bits)]
    assert read.tolist() == bits
    assert bitmap.has_zero is (not all(bits))


def test_columns_share_one_piece_of_memory_and_do_not_overlap() -> None:
    schema = {"a": pl.UInt8(), "b": pl.Float64(), "c": pl.Array(pl.Int32(), 5)}
    arrays = allocate(schema, 3, Slabs())
    for number, array in enumerate(arrays.values(), 1):
        array[:] = number
    assert [array.shape for array in arrays.values()] == [(3,), (3,), (3, 5)]
    assert [set(array.ravel().tolist()) for array in arrays.values()] == [{1}, {2}, {3}]
    assert len({id(array.base.base) for array in arrays.values() if array.base is not None}) == 1
    assert all(array.ctypes.data % 64 == arrays["a"].ctypes.data % 64 for array in arrays.values())


def test_a_dtype_without_a_width_is_refused_by_the_name_of_its_column() -> None:
    with pytest.raises(TypeError, match="remark"):
        allocate({"remark": pl.String()}, 3, Slabs())
