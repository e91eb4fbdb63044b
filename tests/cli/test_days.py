from __future__ import annotations

from pathlib import Path

import deltalake
import polars as pl
import pytest

import kitepolars as kp
from days.market import record_market
from kitepolars.cli import main


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


def test_register_makes_a_delta_table(table: Path, tmp_path: Path) -> None:
    assert main(["days", "register", str(table), "--to", str(tmp_path / "delta")]) == 0
    delta = pl.from_arrow(deltalake.DeltaTable(tmp_path / "delta").to_pyarrow_table())
    assert isinstance(delta, pl.DataFrame)
    ticks = kp.scan(table).collect()
    assert delta.height == ticks.height
    assert sorted(delta["volume_traded"].drop_nulls()) == sorted(
        ticks["volume_traded"].drop_nulls()
    )
    assert main(["days", "register", str(table), "--to", str(tmp_path / "delta")]) == 1


@pytest.mark.parametrize("action", ["info", "verify", "tidy"])
def test_what_is_no_table_is_said(
    action: str, tmp_path: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, expected in ((tmp_path, "no table of days"), (journal, "this is a recording")):
        code = main(["days", action, str(folder)])
        assert action == "tidy" or (code == 1 and expected in capsys.readouterr().err)
