"""What a question reads: whatever it cannot need is damaged first, and the answer is the same."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import kitepolars as kp
from days.market import DAY, INFY, NAMES, SBIN, record_market
from kitepolars.days import order, parquet, pieces
from kitepolars.days.manifest import Table
from kitepolars.days.publish import JournalPublisher
from kitepolars.days.selection import TickSelection, conjuncts
from kitepolars.days.tidy import tidy

SYMBOL, TOKEN = pl.col("symbol"), pl.col("instrument_token")
FOUR_BYTES = 4
"""Of a Parquet file's head; the row groups follow."""


@pytest.fixture(scope="module", params=["published", "tidied"])
def intact(
    request: pytest.FixtureRequest, journal: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a table with several row groups a file, one of each instrument at least."""
    made = Table(tmp_path_factory.mktemp(request.param) / "days")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "FILE_ROWS", 300)
        patch.setattr(order, "ROW_GROUP", 60)
        JournalPublisher(journal, made).publish()
        if request.param == "tidied":
            tidy(made, today=DAY + dt.timedelta(days=1), grace=0)
    return Path(made.path)


@pytest.fixture
def table(intact: Path, tmp_path: Path) -> Table:
    """Return a copy of it, to be damaged."""
    return Table(shutil.copytree(intact, tmp_path / "days"))


def damage_others(table: Table, token: int) -> int:
    """Overwrite all row groups that have no tick of an instrument; return how many there were."""
    return sum(_damage(path, token) for path in Path(table.path).rglob("*.parquet"))


def _damage(path: Path, token: int) -> int:
    metadata = pq.read_metadata(path)
    if "sequence" not in metadata.schema.names or path.name.startswith("last-"):
        return 0
    others = [group for group in _groups(metadata) if not group[0] <= token <= group[1]]
    data = bytearray(path.read_bytes())
    for _, _, begin, end in others:
        data[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(data)
    return len(others)


def _groups(metadata: pq.FileMetaData) -> Iterator[tuple[int, int, int, int]]:
    """Yield the least and greatest token of each row group, and where its bytes are."""
    begin = FOUR_BYTES
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = {
            group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)
        }
        tokens = columns["instrument_token"].statistics
        end = begin + sum(column.total_compressed_size for column in columns.values())
        yield tokens.min, tokens.max, begin, end
        begin = end


@pytest.mark.parametrize(
    "ask",
    [
        lambda path: kp.scan(path, instruments=[INFY]),
        lambda path: kp.scan(path, instruments=["NSE:INFY"]),
        lambda path: kp.scan(path).filter(TOKEN == INFY),
        lambda path: kp.scan(path).filter(SYMBOL == "NSE:INFY"),
        lambda path: kp.scan(path).filter(SYMBOL.is_in(["NSE:INFY", "NSE:NONE"])),
        lambda path: kp.scan(path).filter(pl.col("last_price") > 0).filter(SYMBOL == "NSE:INFY"),
        lambda path: kp.scan(path).filter((SYMBOL == "NSE:INFY") & (pl.col("last_price") > 0)),
        lambda path: kp.scan(path).with_columns(spread=pl.lit(0)).filter(SYMBOL == "NSE:INFY"),
    ],
)
def test_row_groups_of_other_instruments_are_not_read(
    table: Table, ticks: pl.DataFrame, ask: Callable[[str], pl.LazyFrame]
) -> None:
    assert damage_others(table, INFY) > 2
    with pytest.raises(pl.exceptions.PolarsError):
        kp.scan(table.path).collect()
    found = ask(table.path).select(ticks.columns).collect().sort("received_at")
    expected = ticks.filter(TOKEN == INFY).sort("received_at")
    assert_frame_equal(found, expected)


def test_a_name_that_no_tick_has_reads_nothing(table: Table) -> None:
    damage_others(table, 0)
    assert kp.scan(table.path).filter(SYMBOL == "NSE:NONE").collect().is_empty()
    with pytest.raises(kp.UnknownInstrument):
        kp.scan(table.path, instruments=["NSE:NONE"])


def test_symbols_that_may_be_missing_prune_nothing(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing is killed before it writes what is beside the ticks."""
    table = Table(tmp_path / "days")
    with monkeypatch.context() as killed:
        killed.setattr("kitepolars.days.beside.Beside.write", _killed)
        with pytest.raises(KeyboardInterrupt):
            JournalPublisher(journal, table).publish()
    rows = kp.scan(table.path).filter(SYMBOL == "NSE:INFY").collect().height
    last = kp.scan(table.path, last=True).collect()
    assert rows > 0
    JournalPublisher(journal, table).publish()
    assert kp.scan(table.path).filter(SYMBOL == "NSE:INFY").collect().height == rows
    assert_frame_equal(kp.scan(table.path, last=True).collect(), last)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


# -- conditions ------------------------------------------------------------------------------------

CONDITIONS = [
    SYMBOL == "NSE:INFY",
    SYMBOL != "NSE:SBIN",
    SYMBOL.is_in(["NSE:SBIN", "NSE:NIFTY 50"]),
    SYMBOL.is_null(),
    TOKEN == SBIN,
    TOKEN > SBIN,
    TOKEN.is_between(1, INFY),
    pl.col("last_price") > 1_000,
    pl.col("sequence") < 200,
    (SYMBOL == "NSE:INFY") | (pl.col("volume_traded") > 0),
    pl.lit(value=True),
]


@settings(max_examples=50)
@given(
    chosen=st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4),
    rows=st.none() | st.integers(0, 300),
    order=st.sampled_from(["rows, then conditions", "conditions, then rows"]),
)
def test_any_conditions_give_what_they_give_on_a_frame(
    conditions_table: tuple[str, pl.DataFrame],
    chosen: list[pl.Expr],
    rows: int | None,
    order: str,
) -> None:
    path, whole = conditions_table

    def ask(ticks: pl.LazyFrame) -> pl.DataFrame:
        steps = [lambda ticks: ticks.filter(*chosen)]
        if rows is not None:
            steps.append(lambda ticks: ticks.head(rows))
        for step in steps if order.startswith("conditions") else reversed(steps):
            ticks = step(ticks)
        return ticks.collect()

    assert_frame_equal(ask(kp.scan(path)), ask(whole.lazy()))


@pytest.fixture(scope="module")
def conditions_table(
    journal: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, pl.DataFrame]:
    path = str(tmp_path_factory.mktemp("table") / "days")
    kp.publish(journal, path)
    return path, kp.scan(path).collect()


def test_conjuncts_are_all_needed() -> None:
    first, second, third = CONDITIONS[:3]
    for whole in (first & second & third, first & (second & third)):
        parts = conjuncts(whole)
        assert [str(part) for part in parts] == [str(first), str(second), str(third)]
    assert len(conjuncts(first | second)) == 1


# -- the last tick of each instrument --------------------------------------------------------------


def test_the_last_ticks_are_those_of_the_whole_day(table: Table) -> None:
    expected = (
        kp.scan(table.path)
        .collect()
        .sort("received_at", "sequence")
        .unique("instrument_token", keep="last")
        .sort("instrument_token")
    )
    damage_others(table, 0)
    assert_frame_equal(kp.scan(table.path, last=True).collect(), expected)
    infy = kp.scan(table.path, start=DAY, end=DAY, instruments=["NSE:INFY"], last=True).collect()
    assert_frame_equal(infy, expected.filter(TOKEN == INFY))
    assert kp.latest(kp.scan(table.path, last=True)).collect()["symbol"].to_list() == [
        NAMES[token] for token in sorted(NAMES)
    ]


def test_the_last_ticks_of_two_recorders_are_one_an_instrument_and_day(
    journal: Path, tmp_path: Path
) -> None:
    record_market(tmp_path / "other", seed=3, seconds=300)
    record_market(tmp_path / "other", day=DAY + dt.timedelta(days=1), seconds=60)
    for folder in (journal, tmp_path / "other"):
        kp.publish(folder, tmp_path / "days")
    last = kp.scan(tmp_path / "days", last=True).collect()
    everything = kp.scan(tmp_path / "days").collect()
    day = pl.col("received_at").dt.date()
    newest = everything.group_by("instrument_token", day).agg(
        pl.col("received_at").max().alias("at")
    )
    assert last.height == 6
    assert last.filter(day == DAY)["recorder"].n_unique() == 1
    assert sorted(last["received_at"]) == sorted(newest["at"])


def test_the_last_ticks_are_of_whole_days(table: Table) -> None:
    noon = dt.datetime.combine(DAY, dt.time(12))
    with pytest.raises(kp.ConfigError, match="a date: the last ticks are those of whole days"):
        kp.scan(table.path, start=noon, last=True)


# -- bad input -------------------------------------------------------------------------------------


def test_a_folder_that_is_no_table_says_how_to_make_one(journal: Path, tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "none"):
        with pytest.raises(kp.TableError, match="kitepolars publish RECORDING --to TABLE"):
            kp.scan(nothing)
    (tmp_path / "prices.parquet").touch()
    with pytest.raises(kp.TableError, match="there is no table of days"):
        kp.scan(tmp_path / "prices.parquet")
    with pytest.raises(kp.TableError, match="this is a recording, not a table"):
        kp.scan(journal)


def test_a_day_that_is_missing_says_which_there_are(table: Table) -> None:
    before = DAY - dt.timedelta(days=7)
    with pytest.raises(
        kp.TableError, match=r"no day from 2026-11-13 to 2026-11-13; it has 1 from 2026-11-20"
    ):
        kp.scan(table.path, start=before, end=before)
    with pytest.raises(kp.TableError, match="kitepolars days info lists them"):
        kp.scan(table.path, start=DAY + dt.timedelta(days=1))


def test_a_table_of_a_newer_version_says_to_upgrade(table: Table) -> None:
    manifest = Path(table.path) / DAY.isoformat() / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(kp.TableError, match=r"version 2 .* pip install -U kitepolars"):
        kp.scan(table.path)
    manifest.write_text(text[:-20])
    with pytest.raises(kp.TableError, match="the manifest is damaged"):
        kp.scan(table.path)


def test_times_that_are_none_say_what_is_one(table: Table) -> None:
    with pytest.raises(kp.ConfigError, match="after start"):
        kp.scan(table.path, start=DAY, end=DAY - dt.timedelta(days=1))
    with pytest.raises(kp.ConfigError, match="datetime"):
        kp.scan(table.path, start="2026-11-20")  # type: ignore[arg-type]


def test_a_selection_without_days_is_an_empty_frame(table: Table) -> None:
    assert TickSelection(table=table, days=[]).lazy().collect().schema == parquet.TABLE_SCHEMA
