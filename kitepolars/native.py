"""The signatures of the compiled loops in C. Any thread; no state except for `use_way`.

Arrays are passed as addresses (from `address`, or cached in a `Pinned`), so callers are responsible
for sizes, dtypes and contiguity. Calls keep the interpreter lock, because they take less time than
releasing it and waiting for it again; those for candles and indicators, for a journal's records and
for many packets release it, because other threads have work to do meanwhile.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

__all__ = [
    "RELEASE_SCHEMA",
    "WAYS",
    "Pinned",
    "address",
    "alert_rows",
    "candle_close",
    "candle_columns",
    "candle_done",
    "candle_order",
    "candle_rehash",
    "candle_rows",
    "candle_settle",
    "candle_unsure",
    "check_times",
    "checksum",
    "decode",
    "decode_unlocked",
    "enter",
    "find",
    "find_records",
    "gather",
    "keep_last",
    "last_rows",
    "mark",
    "pick",
    "populate",
    "scan_before",
    "scan_carry",
    "scan_fill",
    "scan_since",
    "scan_smooth",
    "scan_supertrend",
    "scan_window",
    "select_packets",
    "split",
    "use_way",
    "walk",
    "write_rows",
    "write_rows_unlocked",
]

LIBRARY: Final = Path(__file__).with_name(
    "_native.dll" if sys.platform == "win32" else "_native.so"
)
"""The shared library that the build makes from `native.c`."""

_Number: Final = ctypes.c_int64
_Memory: Final = ctypes.c_void_p  # accepts an address, `bytes` or a `Pinned`

_first_byte_of: Final[Any] = ctypes.c_char.from_buffer
_place_of: Final = ctypes.addressof


def address(array: npt.NDArray[Any]) -> int:
    """Return the address of the memory of an array."""
    if array.size and array.flags.writeable:  # takes a fifth of the time of the general case
        return _place_of(_first_byte_of(array))
    place: int = array.ctypes.data
    return place


class Pinned:
    """An array with its address, for repeated calls: finding the address takes a while.

    Parameters
    ----------
    array
        The array; it is kept alive.
    """

    __slots__ = ("_as_parameter_", "array")

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array
        self._as_parameter_ = address(array)


def _load() -> ctypes.PyDLL:
    try:
        return ctypes.PyDLL(str(LIBRARY))
    except OSError as error:
        raise ImportError(
            f"{error}. kitepolars is not built for this machine; build it with: "
            "python -m pip install --force-reinstall --no-deps . (in a clone: --editable .)"
        ) from error


_library: Final = _load()


def _function(name: str, result: type[ctypes.c_int64] | None, *arguments: Any) -> Any:
    function = _library[name]
    function.restype = result
    function.argtypes = arguments
    return function


walk: Final = _function("walk", None, _Memory, *[_Number] * 3, _Memory)
"""``(data, start, size, largest, → (stop, messages, bytes, heartbeats))``: follows the steady
frames of a stream; see `wire.stream`."""

split: Final = _function(
    "split", _Number, ctypes.py_object, _Number, *[_Memory] * 2, _Number, *[_Memory] * 4
)
"""``(items, count, bounds or None, code_of_length, room, → packets, → codes, → counts, ↔ cursor)
→ why it stopped``: finds the packets of messages; see `wire.scan`."""

decode: Final = _function(
    "decode",
    _Number,
    *[_Memory] * 2,
    *[_Number] * 2,
    *[_Memory] * 2,
    _Number,
    *[_Memory] * 3,
)
"""``(packets, codes, count, row, fields, starts, layouts, segments, → columns, → unknown)
→ any unknown``: writes packets into columns; see `wire.decode`."""

WAYS: Final = 4
"""The number of ways to store packets, from scalar code, for any processor, to the fastest."""

pick: Final = _function("pick", _Number, *[_Memory] * 3, _Number, *[_Memory] * 2)
"""``(↔ packets, ↔ codes, ↔ counts, items, slots, is_wanted) → packets left``: keeps the packets of
some instruments; see `frames.index`."""

use_way: Final = _function("use_way", _Number, _Number)
"""``(limit) → way``: selects the fastest way that the processor supports, up to a limit. All
ways give bit-identical results."""

use_way(WAYS - 1)

check_times: Final = _function(
    "check_times", _Number, *[_Memory] * 2, _Number, _Memory, *[_Number] * 3, *[_Memory] * 2
)
"""``(codes, has_time, rows, read_at, earliest, ahead, clear, ↔ times, → first) → wrong``: counts
and clears impossible times; see `frames.times`."""

mark: Final = _function(
    "mark",
    _Number,
    _Memory,
    *[_Number] * 2,
    *[_Memory] * 2,
    *[_Number] * 2,
    *[_Memory] * 4,
)
"""``(codes, rows, row, mode_of, → modes, layouts, groups, filled, times, → bitmaps, → has_null)
→ modes seen``: writes modes and nulls of rows; see `frames.buffers`."""

keep_last: Final = _function(
    "keep_last", None, *[_Memory] * 3, _Number, _Memory, _Number, *[_Memory] * 2
)
"""``(packets, codes, slots, count, lengths, stride, → kept, → codes)``: keeps the last packet of
each slot; see `relay.packets`."""

select_packets: Final = _function(
    "select_packets",
    _Number,
    *[_Memory] * 3,
    _Number,
    *[_Memory] * 2,
    _Number,
    *[_Memory] * 2,
)
"""``(packets, codes, slots, count, wanted, lengths, levels, → out, → packets) → bytes``: copies the
part of packets that is wanted; see `relay.packets`."""

last_rows: Final = _function("last_rows", None, _Memory, _Number, _Memory)
"""``(slots, rows, → last)``: finds the last row of each slot; see `frames.buffers`."""

gather: Final = _function("gather", None, _Number, *[_Memory] * 4, _Number, *[_Memory] * 2)
"""``(columns, widths, sources, origins, rows, count, → targets, → has_zero)``: merges rows of
several sets of columns; see `frames.buffers`."""

find: Final = _function("find", _Number, _Memory, _Number, _Memory, _Number, _Memory)
"""``(tokens, count, entries, shift, → slots) → missing``: looks up tokens; see `frames.index`."""

enter: Final = _function("enter", None, _Memory, *[_Number] * 2, _Memory, _Number)
"""``(tokens, count, first slot, → entries, shift)``: inserts new tokens; see `frames.index`."""

write_rows: Final = _function(
    "write_rows",
    _Number,
    _Memory,
    _Number,
    *[_Memory] * 2,
    _Number,
    _Memory,
    _Number,
    _Memory,
    _Number,
    _Memory,
    *[_Number] * 3,
    _Memory,
)
"""``(sheet, row, packets, codes, count, reads, number of reads, counts, first, entries, shift,
earliest, ahead, → unknown) → what to look at``: writes packets into rows; see `frames.buffers`."""

_unlocked: Final = ctypes.CDLL(str(LIBRARY))


def _unlocked_function(name: str, result: type[ctypes.c_int64] | None, *arguments: Any) -> Any:
    function = _unlocked[name]
    function.restype = result
    function.argtypes = arguments
    return function


decode_unlocked: Final = _unlocked_function("decode", decode.restype, *decode.argtypes)
"""`decode` without the interpreter lock, for many packets."""

write_rows_unlocked: Final = _unlocked_function(
    "write_rows", write_rows.restype, *write_rows.argtypes
)
"""`write_rows` without the interpreter lock, for many packets."""

candle_rows: Final = _unlocked_function("candle_rows", _Number, *[_Memory] * 2)
"""``(engine, cursor) → why it ended``: takes ticks into candles; see `analytics.engine`."""

candle_close: Final = _unlocked_function("candle_close", None, _Memory)
"""``(cursor)``: releases what is left of the ticks."""

populate: Final = _unlocked_function("populate", None, *[_Memory] * 2, *[_Number] * 2)
"""``(↔ memory, starts, areas, page)``: makes the pages of areas present, row by row, and leaves
their content as it is, also while others write to it; see `frames.memory`."""

candle_rehash: Final = _unlocked_function("candle_rehash", None, _Memory)
"""``(engine)``: enters all instruments into an empty table."""

candle_order: Final = _unlocked_function("candle_order", _Number, *[_Memory] * 3)
"""``(engine, → places, → keys) → bars``: sorts the bars that are not settled."""

candle_done: Final = _unlocked_function("candle_done", _Number, *[_Memory] * 2, *[_Number] * 3)
"""``(engine, places, bars, markets, settling time) → bars``: counts those that can be settled."""

candle_columns: Final = _unlocked_function(
    "candle_columns", None, *[_Memory] * 2, *[_Number] * 2, _Memory
)
"""``(engine, places, bars, patience, → columns)``: writes bars into columns."""

candle_settle: Final = _unlocked_function("candle_settle", None, *[_Memory] * 2, _Number)
"""``(engine, places, bars)``: forgets bars that stand in a block."""

candle_unsure: Final = _unlocked_function("candle_unsure", _Number, *[_Memory] * 2)
"""``(engine, → places) → bars``: lists settled bars that may still change."""

find_records: Final = _unlocked_function(
    "find_records", _Number, _Memory, *[_Number] * 2, _Memory, *[_Number] * 2, *[_Memory] * 2
)
"""``(data, size, start, marker, largest payload, room, → records, → (stop, count)) → why it
stopped``: finds intact records; see `journal.format`."""

checksum: Final = _unlocked_function("checksum", _Number, _Memory, _Number)
"""``(data, size) → CRC-32`` as in zlib; for tests."""

_unlocked_function("prepare_checksum", None)()


def _scan(name: str, arrays: int, *parameters: Any, outputs: int = 1) -> Any:
    """Return a loop over bars: ``(slots, rows, arrays …, ↔ memory, parameters …, → outputs …)``."""
    columns = [_Memory] * arrays
    return _unlocked_function(
        name, None, _Memory, _Number, *columns, _Memory, *parameters, *[_Memory] * outputs
    )


scan_before: Final = _scan("scan_before", 1)
"""``(slots, rows, values, ↔ memory, → out)``: the row before; see `analytics.technical.scan`."""

scan_fill: Final = _scan("scan_fill", 1)
"""``(slots, rows, values, ↔ memory, → out)``: the latest value that is not missing."""

scan_smooth: Final = _scan("scan_smooth", 1, _Number, _Number, ctypes.c_double, ctypes.c_double)
"""``(slots, rows, values, ↔ memory, skip, seed, divisor, weight, → out)``:
exponential smoothing."""

scan_window: Final = _scan("scan_window", 1, _Memory, _Number, _Number)
"""``(slots, rows, values, ↔ rings, ↔ counts, size, kind, → out)``: a number of the last values."""

scan_since: Final = _scan("scan_since", 2, _Number)
"""``(slots, rows, values, sessions, ↔ memory, kind, → out)``: a number of the session so far."""

scan_carry: Final = _scan("scan_carry", 2)
"""``(slots, rows, values, sessions, ↔ memory, → out)``: the last value of the session before."""

scan_supertrend: Final = _scan("scan_supertrend", 3, outputs=2)
"""``(slots, rows, middle, close, distance, ↔ memory, → line, → direction)``."""

alert_rows: Final = _unlocked_function(
    "alert_rows", _Number, _Memory, _Number, *[_Memory] * 3, *[_Number] * 4, _Memory
)
"""``(slots, rows, holds, times, ↔ memory, duration, cooldown, is_crossing, is_once, → rows)
→ number of rows``: which rows an alert fires at; see `alerting.rules`."""


def _address_of(function: Any) -> int:
    place = ctypes.cast(function, ctypes.c_void_p).value
    assert place is not None  # noqa: S101 - a function has an address
    return place


RELEASE_SCHEMA: Final = _address_of(_library.release_schema)
"""The address of the release callback of an ``ArrowSchema``."""

export_batch: Final = _function("export_batch", None, _Memory, *[_Number] * 4, *[_Memory] * 3)
"""``(columns, count, nested, start, length, without_nulls, owner, → arrays)``: describes rows as an
``ArrowArray``; see `frames.arrow`."""

_INTERPRETER: Final = (
    "Py_IsInitialized",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "Py_DecRef",
    "PyList_GetItem",
    "PyBytes_AsStringAndSize",
)
_function("use_interpreter", None, *[_Memory] * len(_INTERPRETER))(
    *(_address_of(getattr(ctypes.pythonapi, name)) for name in _INTERPRETER)
)
