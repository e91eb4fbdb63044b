from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow import parquet

from kitepolars.errors import ConfigError, KitePolarsError
from kitepolars.frames.schema import SCHEMA
from kitepolars.recordings import ticks
from kitepolars.recordings.export import export
from recordings.conftest import Recorded


@pytest.fixture
def exported(recorded: Recorded, tmp_path: Path) -> Path:
    out = tmp_path / "ticks.parquet"
    export(recorded.folder, out)
    return out


def test_every_dtype_survives_in_parquet(recorded: Recorded, exported: Path) -> None:
    read = pl.read_parquet(exported)
    assert read.schema == SCHEMA
    assert_frame_equal(read, recorded.frame)
    is_infy = pl.col("symbol") == "NSE:INFY"
    assert_frame_equal(
        pl.scan_parquet(exported).filter(is_infy, pl.col("mode") == "full").collect(),
        recorded.frame.filter(is_infy, pl.col("mode") == "full"),
    )


def test_a_row_group_is_written_per_batch(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "BATCH_ROWS", 100)
    export(recorded.folder, tmp_path / "ticks.parquet")
    export(recorded.folder, tmp_path / "ticks.csv")
    with parquet.ParquetFile(tmp_path / "ticks.parquet") as file:
        assert file.num_row_groups == -(-recorded.frame.height // 100)
    assert_frame_equal(pl.read_parquet(tmp_path / "ticks.parquet"), recorded.frame)
    assert pl.read_csv(tmp_path / "ticks.csv").height == recorded.frame.height


def test_a_flipped_bit_in_a_page_is_found(exported: Path) -> None:
    parquet.read_table(exported, page_checksum_verification=True)
    with parquet.ParquetFile(exported) as file:
        prices = next(
            chunk
            for number in range(file.metadata.num_columns)
            if (chunk := file.metadata.row_group(0).column(number)).path_in_schema == "last_price"
        )
    stored = bytearray(exported.read_bytes())
    stored[prices.data_page_offset + prices.total_compressed_size // 2] ^= 0x10
    exported.write_bytes(stored)
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        parquet.read_table(exported, page_checksum_verification=True)


def test_a_csv_has_a_column_per_level(recorded: Recorded, tmp_path: Path) -> None:
    export(recorded.folder, tmp_path / "ticks.csv")
    read = pl.read_csv(tmp_path / "ticks.csv", infer_schema_length=None)
    frame = recorded.frame
    assert read["bid_price_5"].to_list() == frame["bid_price"].arr.get(4).to_list()
    assert read["ask_orders_1"].to_list() == frame["ask_orders"].arr.first().to_list()
    assert read["symbol"].to_list() == frame["symbol"].cast(pl.String).to_list()
    assert (
        read["received_at"].str.to_datetime(time_zone="Asia/Kolkata").equals(frame["received_at"])
    )


def test_nothing_is_left_of_an_export_that_fails(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(KitePolarsError, match=r"kitepolars\[parquet\]"):
        export(recorded.folder, tmp_path / "ticks.parquet")
    (tmp_path / "ticks.csv").write_text("mine")
    with pytest.raises(ConfigError, match="does not exist yet"):
        export(recorded.folder, tmp_path / "ticks.csv")
    with pytest.raises(ConfigError, match=r"ends in \.parquet or \.csv"):
        export(recorded.folder, tmp_path / "ticks.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["ticks.csv"]
