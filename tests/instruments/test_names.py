"""Finding the words close to a misspelt one."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.instruments.names import SpellingIndex

WORDS = ["RELIANCE", "INFY", "TATAMOTORS", "HDFCBANK", "SBIN"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("RELAINCE", "RELIANCE"), ("TATAMOTOR", "TATAMOTORS"), ("HDFC BANK", "HDFCBANK"),
     ("INFYY", "INFY"), ("SBI", "SBIN")],
)  # fmt: skip
def test_slips_of_the_pen(word: str, meant: str) -> None:
    assert SpellingIndex(WORDS).close(word, 1) == [meant]


def test_nothing_is_close_to_nonsense_or_nothing() -> None:
    assert SpellingIndex(WORDS).close("QQQQ") == []
    assert SpellingIndex(WORDS).close("") == []
    assert SpellingIndex([]).close("INFY") == []


def test_one_slip_is_found_among_many_words() -> None:
    dice = random.Random(7)
    words = ["".join(dice.choices(string.ascii_uppercase, k=9)) for _ in range(5_000)]
    index = SpellingIndex(words)
    for word in words[::500]:
        swapped = word[:3] + word[4] + word[3] + word[5:]
        assert index.close(swapped, 1) == [word]


@given(st.lists(st.text(max_size=50), max_size=20), st.text(max_size=50))
def test_any_text_is_taken_and_only_known_words_come_back(words: list[str], word: str) -> None:
    close = SpellingIndex(words).close(word, 3)
    assert len(close) <= 3
    assert set(close) <= set(words)
