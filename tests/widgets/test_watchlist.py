"""Watch lists as text and as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kitepolars as kp
from kitepolars.widgets import watchlist
from kitepolars.wire.layouts import Mode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("NSE:INFY", {"NSE:INFY": "quote"}),
        ("NSE:NIFTY 50 ltp", {"NSE:NIFTY 50": "ltp"}),
        ("NSE:NIFTY 50\tLTP", {"NSE:NIFTY 50": "ltp"}),
        ("408065, 'NSE:INFY' full;\n# nothing", {408065: "quote", "NSE:INFY": "full"}),
        ("NSE:M&M full # comment, ltp", {"NSE:M&M": "full"}),
        ("[408065, 738561]", {408065: "quote", 738561: "quote"}),
        ("NSE:INFY ltp\nNSE:INFY full", {"NSE:INFY": "full"}),
    ],
)
def test_a_watch_list_is_read_leniently(text: str, expected: dict[str | int, str]) -> None:
    assert watchlist.parse(text, Mode.QUOTE) == expected


@given(st.text(max_size=300))
def test_any_text_is_a_watch_list(text: str) -> None:
    for name, mode in watchlist.parse(text, Mode.LTP).items():
        assert name != ""
        assert mode in Mode


@given(
    st.dictionaries(
        st.from_regex(r"(NSE|NFO):[A-Z0-9&-]{1,12}( 50)?", fullmatch=True),
        st.sampled_from(Mode),
        max_size=20,
    )
)
def test_what_is_written_is_read_again(entries: dict[str, Mode]) -> None:
    text = watchlist.to_text((name, mode.value) for name, mode in entries.items())
    assert watchlist.parse(text, Mode.LTP) == entries


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    watchlist.save(path, [("NSE:INFY", "full")])
    assert watchlist.load(path, Mode.LTP) == {"NSE:INFY": Mode.FULL}

    def broken() -> Iterator[tuple[str, str]]:
        yield ("NSE:SBIN", "full")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        watchlist.save(path, broken())
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]
    assert "INFY" in path.read_text("utf-8")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(kp.ConfigError, match="a text file"):
        watchlist.load(path, Mode.LTP)
