"""The reader on docs/journal-format.md against our own: the page suffices to read a journal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.journal.codec import decode
from kitepolars.journal.compression import read_frames
from kitepolars.journal.format import Entry
from kitepolars.journal.segments import SegmentFile, segments
from kitepolars.playback import SAMPLE
from kitepolars.source import Messages

PAGE = Path(__file__).parents[2] / "docs" / "journal-format.md"
MOST_LINES = 50


def documented() -> str:
    """Return the first block of Python on the page."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    source: str = blocks[0]
    return source


@pytest.fixture(scope="module")
def reader() -> dict[str, Callable[..., Iterator[Any]]]:
    """Return the functions of the documented reader."""
    names: dict[str, Any] = {"print": lambda *_: None}  # where it says what is damaged
    exec(documented(), names)  # noqa: S102 - the page's own
    return names


@pytest.fixture(scope="module")
def sample() -> bytes:
    """Return the segment of the recording that ships with the package."""
    [segment] = segments(SAMPLE)
    return b"".join(part for part in read_frames(segment.path) if isinstance(part, bytes))


def test_it_is_fifty_lines_at_most() -> None:
    assert len(documented().splitlines()) <= MOST_LINES


def test_it_reads_the_sample_as_we_do(
    reader: dict[str, Callable[..., Iterator[Any]]], sample: bytes
) -> None:
    [segment] = segments(SAMPLE)
    ours = list(segment.read())
    assert [Entry(*fields) for fields in reader["read"](sample)] == ours
    assert len({entry.kind for entry in ours}) > 5
    for entry in ours:
        record = decode(entry)
        if isinstance(record, Messages):
            assert list(reader["messages"](entry.payload)) == list(record.messages)


@given(flips=st.lists(st.integers(8 * 32, 8 * 60_000 - 1), min_size=1, max_size=5))
def test_it_loses_the_same_records_to_flipped_bits(
    reader: dict[str, Callable[..., Iterator[Any]]],
    sample: bytes,
    flips: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stored = bytearray(sample[:60_000])  # the last record is incomplete
    for bit in flips:
        stored[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.mktemp("journal") / "000000000000.kpj"
    path.write_bytes(stored)
    theirs = [Entry(*fields) for fields in reader["read"](bytes(stored))]
    assert theirs == list(SegmentFile(0, path).read())
