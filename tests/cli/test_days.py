from __future__ import annotations

from pathlib import Path

import deltalake
import polars as pl
import pytest

import kitepolars as kp
from days.market import record_market
from kitepolars.cli import main
from kitepolars.days.manifest import Table
from kitepolars.days.scan import manifests
from kitepolars.days.tidy import tidy


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal") / "ticks"
    record_market(folder)
    return folder


@pytest.fixture
def table(journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["publish", str(journal), "--to", str(tmp_path / "days")]) == 0
    assert "690 ticks in 2 new files" in capsys.readouterr().out
    return tmp_path / "days"


def test_info_shows_each_day(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["days", "info", str(table)]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[:4] == ["2026-11-20", "690", "3", "1"]


def test_tidy_puts_days_in_order(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["days", "tidy", str(table), "--keep-both", "1"]) == 0
    assert "1 days with 690 ticks" in capsys.readouterr().out
    main(["days", "info", str(table)])
    assert "both" in capsys.readouterr().out.splitlines()[-1]


def test_verify_finds_a_damaged_file(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["days", "verify", str(table)]) == 0
    file = next(
        path for path in table.rglob("*.parquet") if path.name[0].isdigit() or "-0000" in path.name
    )
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    file.write_bytes(damaged)
    assert main(["days", "verify", str(table)]) == 1
    assert file.name in capsys.readouterr().out.replace("\n", "")


def test_register_makes_a_delta_table_of_the_same_files(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path for path in table.rglob("*.parquet") if path.is_file()}
    for _ in range(2):  # the second time there is nothing new
        assert main(["days", "register", str(table)]) == 0
    assert "0 files were added to its log, 0 removed" in capsys.readouterr().out.replace("\n", " ")
    assert set(table.rglob("*.parquet")) == files
    assert_is_table(table, table)
    tidy(Table(table), grace=0)
    assert main(["days", "register", str(table)]) == 0
    assert_is_table(table, table)
    assert kp.scan(table).collect().height == 690
    assert_removed_names_are_gone(table)


def assert_removed_names_are_gone(table: Path) -> None:
    named = set(deltalake.DeltaTable(table).file_uris())
    [manifest] = manifests(Table(table))
    assert {Path(name).name for name in named} == {
        Path(file.name).name for file in manifest.files()
    }


def test_register_makes_a_copy_when_asked(table: Path, tmp_path: Path) -> None:
    command = ["days", "register", str(table), "--copy-to", str(tmp_path / "delta")]
    assert main(command) == 0
    assert_is_table(tmp_path / "delta", table)
    assert main(command) == 1


def assert_is_table(delta: Path, table: Path) -> None:
    """Compare a Delta table with a table of days: by its own reader, and by SQL."""
    opened = deltalake.DeltaTable(delta)
    read = pl.DataFrame(opened.to_pyarrow_table()).sort("instrument_token", "sequence")
    ticks = kp.scan(table).collect().sort("instrument_token", "sequence")
    assert read["day"].unique().to_list() == ["2026-11-20"]
    for name in ("instrument_token", "volume_traded", "last_price", "bid_price", "ask_orders"):
        assert read[name].to_list() == ticks[name].to_list()
    for name in ("symbol", "mode"):
        assert read[name].to_list() == ticks[name].cast(pl.String).to_list()
    assert read["received_at"].dt.convert_time_zone("Asia/Kolkata").equals(ticks["received_at"])
    asked = deltalake.QueryBuilder().register("ticks", opened)
    counted = asked.execute("SELECT count(*) AS n FROM ticks WHERE instrument_token = 408065")
    assert pl.DataFrame(counted.read_all())["n"].item() == 230


@pytest.mark.parametrize("action", ["info", "verify", "tidy"])
def test_what_is_no_table_is_an_error(
    action: str, tmp_path: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, expected in ((tmp_path, "no table of days"), (journal, "this is a recording")):
        code = main(["days", action, str(folder)])
        assert action == "tidy" or (code == 1 and expected in capsys.readouterr().err)
