"""The structs that Python hands to `candles.c` have the fields that it declares, in its order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from kitepolars.analytics import candle_structs

SOURCE: Final = Path(__file__).parents[2] / "kitepolars" / "candles.c"
CODE: Final = re.sub(r"/\*.*?\*/", "", SOURCE.read_text("utf-8"), flags=re.DOTALL)
SIZES: Final = {"uint8_t": 1, "int32_t": 4, "uint32_t": 4, "int64_t": 8, "double": 8}


def declared(struct: str) -> list[tuple[str, int, int]]:
    """Return the name, the bytes and the length of each field of a struct in C."""
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", CODE, flags=re.DOTALL | re.MULTILINE)
    assert body is not None
    fields = []
    for kind, names in re.findall(
        r"^\s*(?:const )?((?:struct )?\w+) (.*?);", body[1], re.MULTILINE
    ):
        for stars, name, length in re.findall(r"(\*?)(\w+)(?:\[(\d)\])?", names):
            size = 8 if stars else SIZES[kind]
            fields.append((name, size, int(length or 1)))
    return fields


@pytest.mark.parametrize("name", ["state", "bar", "market", "horizon"])
def test_records_lie_in_memory_as_c_declares_them(name: str) -> None:
    dtype: np.dtype[np.void] = getattr(candle_structs, f"{name.upper()}_RECORD")
    sizes = [size for field, size, length in declared(name) for _ in range(length)]
    names = [field for field, _, _ in declared(name)]
    if name == "market":  # one array in C, two fields here
        names[2:3] = ["winter", "summer"]
    if names[-1] == "unused":
        names = names[:-1]
        sizes = sizes[: len(names)]
    assert dtype.names is not None
    assert (list(dtype.names), [dtype[field].itemsize for field in dtype.names]) == (names, sizes)


def test_the_engine_has_the_fields_that_c_declares() -> None:
    fields = [name for name, *_ in candle_structs.EngineStruct._fields_]
    assert fields == [name for name, _, _ in declared("engine")]
