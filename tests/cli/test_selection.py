from __future__ import annotations

import pytest

from kitepolars import Instruments, Mode
from kitepolars.cli.selection import ALWAYS, by_mode, choose, watch_list
from kitepolars.sim import SimulatedKite


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return Instruments.read_csv(SimulatedKite().instruments.dump_csv())


def test_the_watch_list_has_indices_shares_and_the_nearest_futures(
    instruments: Instruments,
) -> None:
    symbols = instruments.symbols(watch_list(instruments)).to_list()
    assert symbols[: len(ALWAYS)] == list(ALWAYS)
    assert [symbol.split(":")[0] for symbol in symbols[len(ALWAYS) :]] == ["NFO", "MCX", "CDS"]
    assert all(symbol.endswith("FUT") for symbol in symbols[len(ALWAYS) :])


@pytest.mark.parametrize("count", [1, 5, 100, 9000])
def test_so_many_different_instruments_are_chosen(instruments: Instruments, count: int) -> None:
    watched = watch_list(instruments)
    tokens = choose(instruments, watched, count)
    assert len(tokens) == len(set(tokens)) == count
    assert tokens[: len(watched)] == watched[:count]


def test_they_come_from_all_over_the_dump(instruments: Instruments) -> None:
    tokens = choose(instruments, [], 9000)
    chosen = instruments.frame.filter(instruments.frame["instrument_token"].is_in(tokens))
    assert set(chosen["exchange"]) == set(instruments.frame["exchange"])


def test_every_instrument_gets_one_mode() -> None:
    dealt = by_mode([1, 2], range(3, 30))
    assert sorted(token for tokens in dealt.values() for token in tokens) == list(range(1, 30))
    assert {1, 2} <= set(dealt[Mode.FULL])
    assert [len(dealt[mode]) for mode in Mode] == [9, 9, 11]
    assert next(iter(dealt)) is Mode.FULL  # so that the first rows have every column


def test_a_mode_without_an_instrument_is_left_out() -> None:
    assert by_mode([1], []) == {Mode.FULL: [1]}
