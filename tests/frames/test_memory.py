"""Memory that is reused, bitmaps, and one piece of memory for all columns."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars import native
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
    slabs.prepare([0, PREPARED_FROM])
    prepared = slabs._prepared
    assert prepared is not None
    assert not prepared.any()
    assert slabs.take(PREPARED_FROM).ctypes.data == prepared.ctypes.data
    assert slabs._prepared is None


@given(st.lists(st.integers(0, 5 * 64), min_size=1, max_size=9), st.integers(1, 100))
def test_preparing_memory_leaves_its_content_as_it_is(sizes: list[int], page: int) -> None:
    starts = np.cumsum([0, *sizes])
    content = np.random.default_rng(1).integers(1, 256, starts[-1] + 1, np.uint8)
    memory = content.copy()
    native.populate(native.address(memory), native.address(starts), len(sizes), page)
    assert (memory == content).all()


@pytest.mark.skipif(sys.platform != "linux", reason="mincore is POSIX, but not everywhere alike")
def test_preparing_makes_every_page_present() -> None:
    starts = np.array([0, 3, 40, 41, 100]) * mmap.PAGESIZE
    with mmap.mmap(-1, int(starts[-1])) as pages:
        memory = np.frombuffer(pages, np.uint8)
        places = native.address(memory), native.address(starts)
        native.populate(*places, len(starts) - 1, mmap.PAGESIZE)
        present = np.zeros(100, np.uint8)
        mincore = ctypes.CDLL(None).mincore
        mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        assert mincore(native.address(memory), len(memory), native.address(present)) == 0
        del memory
    assert present.all()


def test_memory_is_prepared_once() -> None:
    slabs = Slabs()
    slabs.prepare([0, PREPARED_FROM])
    prepared = slabs._prepared
    slabs.prepare([0, PREPARED_FROM])
    assert slabs._prepared is prepared
    assert len(slabs.take(PREPARED_FROM)) == PREPARED_FROM


def test_memory_that_can_be_reused_is_preferred_to_what_was_prepared() -> None:
    slabs = Slabs()
    taken = slabs.take(PREPARED_FROM)
    place = taken.ctypes.data
    slabs.prepare([0, PREPARED_FROM])
    del taken
    assert slabs.take(PREPARED_FROM).ctypes.data == place  # it is present already
    assert slabs._prepared is None


def test_prepared_memory_that_does_not_fit_is_not_taken() -> None:
    slabs = Slabs()
    slabs.prepare([0, PREPARED_FROM])
    assert len(slabs.take(PREPARED_FROM + 1)) == PREPARED_FROM + 1


def test_a_little_memory_is_not_worth_a_thread() -> None:
    slabs = Slabs()
    slabs.prepare([0, PREPARED_FROM - 1])
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
