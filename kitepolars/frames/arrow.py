"""NumPy columns → Polars, without a copy, over the Arrow C data interface. Any thread.

NumPy has no nulls: a column with nulls needs a validity bitmap beside its values, and the Arrow C
data interface is the public way to pass both to Polars. Polars then shares the memory of the
arrays. It releases it from an arbitrary thread when the last frame is gone, so the release
callbacks are compiled (`native.c`). The layout of the two structs is that of the Arrow
specification, "The Arrow C data interface".
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars import native

__all__ = ["BatchSchema", "RecordBatch", "numpy_dtype"]

_NULLABLE_FLAG: Final = 2  # ARROW_FLAG_NULLABLE


class _ArrowSchema(ctypes.Structure):
    pass


_ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowSchema))),
    ("dictionary", ctypes.POINTER(_ArrowSchema)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]

_keep = ctypes.pythonapi.Py_IncRef
_keep.restype = None
_keep.argtypes = [ctypes.py_object]

_ARRAY_WORDS: Final = 10
"""Words of 8 bytes of an ``ArrowArray``."""

_POINTERS: Final = 2
"""Buffers of an array: validity bitmap and values."""


_FIXED_WIDTH: Final[Mapping[type[pl.DataType], tuple[str, str]]] = {
    pl.UInt8: ("u1", "C"),
    pl.UInt16: ("u2", "S"),
    pl.UInt32: ("u4", "I"),
    pl.UInt64: ("u8", "L"),
    pl.Int8: ("i1", "c"),
    pl.Int16: ("i2", "s"),
    pl.Int32: ("i4", "i"),
    pl.Int64: ("i8", "l"),
    pl.Float32: ("f4", "f"),
    pl.Float64: ("f8", "g"),
    pl.Datetime: ("i8", "tsu:"),
    pl.Duration: ("i8", "tDu"),
}
"""Polars dtype → NumPy dtype, Arrow format; of times those in microseconds."""


def numpy_dtype(column: str, dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype that represents a Polars dtype in memory.

    Raises
    ------
    TypeError
        The dtype has no fixed width, or its times are not microseconds.

    Examples
    --------
    >>> numpy_dtype("volume", pl.UInt64())
    dtype('uint64')
    """
    return np.dtype(_fixed_width(column, _instance(dtype))[0])


def _fixed_width(column: str, dtype: pl.DataType) -> tuple[str, str]:
    known = _FIXED_WIDTH.get(type(dtype))
    if known is None or getattr(dtype, "time_unit", "us") != "us":
        names = ", ".join(each.__name__ for each in _FIXED_WIDTH)
        raise TypeError(
            f"the column {column!r} cannot be {dtype!r}: it must be one of {names} (of times those "
            "in microseconds), or an Array of one"
        )
    return known


def _arrow_format(column: str, dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Boolean):
        return "b"
    time_zone = dtype.time_zone or "" if isinstance(dtype, pl.Datetime) else ""
    return f"{_fixed_width(column, dtype)[1]}{time_zone}"


def _schema(name: str, dtype: pl.DataType, keep: list[object]) -> _ArrowSchema:
    """Describe a column; `keep` gets the objects that the description points to."""
    if isinstance(dtype, pl.Struct):
        children = [_schema(field.name, _instance(field.dtype), keep) for field in dtype.fields]
        form = "+s"
    elif isinstance(dtype, pl.Array):
        children = [_schema("item", _instance(dtype.inner), keep)]
        form = f"+w:{dtype.size}"
    else:
        children, form = [], _arrow_format(name, dtype)
    pointers = (ctypes.POINTER(_ArrowSchema) * len(children))(*map(ctypes.pointer, children))
    texts = (form.encode(), name.encode())
    keep.append((children, pointers, texts))
    return _ArrowSchema(
        format=texts[0],
        name=texts[1],
        flags=_NULLABLE_FLAG,
        n_children=len(children),
        children=pointers,
        release=native.RELEASE_SCHEMA,
    )


def _instance(dtype: Any) -> pl.DataType:
    instance: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return instance


class BatchSchema:
    """What record batches with the same columns share. It is never written.

    Parameters
    ----------
    columns
        Column → flat dtype, or `polars.Array` of one, in order.

    Raises
    ------
    TypeError
        A dtype has no fixed width.
    """

    def __init__(self, columns: Mapping[str, pl.DataType]) -> None:
        self._keep: list[object] = []  # what the description points to
        self.description = _schema("", pl.Struct(dict(columns)), self._keep)
        sizes = [dtype.size if isinstance(dtype, pl.Array) else 0 for dtype in columns.values()]
        self.count = len(sizes)
        self.nested = sum(size > 0 for size in sizes)
        """How many columns are arrays of arrays."""
        arrays = 1 + self.count + self.nested
        self.words = arrays * (_ARRAY_WORDS + _POINTERS) + arrays - 1
        """Words of the structs of a batch, with the pointers to buffers and children."""
        self._shapes = [
            (_eight_rows(*column), size)
            for column, size in zip(columns.items(), sizes, strict=True)
        ]

    def places(self, values: Iterable[int], validity: Iterable[int]) -> npt.NDArray[np.int64]:
        """Return the columns as ``struct BatchColumn`` of native.c, given their addresses."""
        return np.array(
            [
                (bitmap, place, *shape)
                for bitmap, place, shape in zip(validity, values, self._shapes, strict=True)
            ],
            np.int64,
        )


def _eight_rows(name: str, dtype: pl.DataType) -> int:
    """Return the bytes of eight rows of a column."""
    if isinstance(dtype, pl.Boolean):
        return 1
    if isinstance(dtype, pl.Array):
        return dtype.size * _eight_rows(name, _instance(dtype.inner))
    return 8 * numpy_dtype(name, dtype).itemsize


class RecordBatch:
    """Preallocated columns, from which frames are made while they fill up.

    Parameters
    ----------
    schema
        The columns.
    values
        For each column a C-contiguous array of shape ``(n,)`` or ``(n, size)``; a Boolean column
        is a bitmap, least significant bit first.
    validity
        For each column a bitmap (1: valid, least significant bit first), or None if it has no
        nulls.

    Examples
    --------
    >>> schema = {"price": pl.Float64(), "orders": pl.Array(pl.UInt16, 2)}
    >>> values = [np.array([1.5, 2.5]), np.array([[1, 2], [3, 4]], "u2")]
    >>> batch = RecordBatch(BatchSchema(schema), values, [np.array([0b01], "u1"), None])
    >>> batch.frame(0, 2).rows()
    [(1.5, [1, 2]), (None, [3, 4])]
    """

    def __init__(
        self,
        schema: BatchSchema,
        values: Sequence[npt.NDArray[Any]],
        validity: Sequence[npt.NDArray[np.uint8] | None],
    ) -> None:
        self._owned = (*values, *validity)
        self._schema = schema
        self._places = native.Pinned(
            schema.places(
                map(native.address, values),
                [0 if bitmap is None else native.address(bitmap) for bitmap in validity],
            )
        )

    def frame(self, start: int, stop: int, without_nulls: Sequence[int] = ()) -> pl.DataFrame:
        """Return a DataFrame that shares the memory of rows. They must not be written again.

        Parameters
        ----------
        start, stop
            The rows; `start` must be a multiple of 8, because a bitmap starts at a whole byte.
        without_nulls
            Positions of columns that have no null in these rows: Polars then skips their bitmaps,
            which makes queries faster.
        """
        batch = _Batch(self._schema.description, self._export(start, stop - start, without_nulls))
        return pl.Series(batch).struct.unnest()

    def _export(
        self, start: int, length: int, without_nulls: Sequence[int]
    ) -> npt.NDArray[np.int64]:
        """Return the structs of a frame; they live until Polars releases them."""
        schema = self._schema
        arrays = np.empty(schema.words, np.int64)
        is_complete = bytearray(schema.count)
        for position in without_nulls:
            is_complete[position] = 1
        shared = (arrays, self._owned)
        _keep(shared)  # until the release callback
        native.export_batch(
            self._places,
            schema.count,
            schema.nested,
            start,
            length,
            bytes(is_complete),
            id(shared),
            native.address(arrays),
        )
        return arrays


class _Batch:
    """An object that exports the two structs to Polars."""

    def __init__(self, schema: _ArrowSchema, arrays: npt.NDArray[np.int64]) -> None:
        # The consumer takes ownership of the outermost struct, so each batch exports a copy.
        self._schema = _ArrowSchema.from_buffer_copy(schema)
        self._arrays = arrays

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        del requested_schema  # optional in the specification; Polars converts nothing here
        return (
            _new_capsule(ctypes.addressof(self._schema), b"arrow_schema", None),
            _new_capsule(self._arrays.ctypes.data, b"arrow_array", None),
        )
