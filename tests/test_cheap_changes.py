"""Changes that CONTRIBUTING.md calls one row, made to a copy of the package and tried there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import kitepolars
from patience import PATIENCE

PACKAGE: Final = Path(kitepolars.__file__).parent
LAST_COLUMN: Final = '    FrameColumn("ask_orders", _ORDER_COUNTS),\n'


class Copy:
    """A copy of the package, to be changed and run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "*.js", "*.css", "*.ipynb")
        shutil.copytree(PACKAGE, folder / "kitepolars", ignore=ignored)

    def insert(self, module: str, row: str, *, before: str) -> None:
        """Insert a row into a table of a module."""
        path = self.folder / "kitepolars" / module
        source = path.read_text("utf-8")
        assert source.count(before) == 1
        path.write_text(source.replace(before, row + before), "utf-8")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with this copy of the package."""
        return subprocess.run(
            [sys.executable, "-P", "-c", script],
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


COMPUTED: Final = """
import polars as pl
import kitepolars as kp

delay = (pl.col("received_at") - pl.col("exchange_timestamp")).dt.total_microseconds()
with kp.demo(instruments=["NSE:INFY", "NSE:SBIN"], rate=20) as ticker:
    assert ticker.wait(rows=20, timeout=60)
    for frame in (ticker.frame(), ticker.latest().select(ticker.frame().columns)):
        assert frame.columns[-2:] == ["delay", "ask_orders"]
        assert frame.select(pl.col("delay") == delay)["delay"].all()
        assert frame["delay"].abs().max() > 0
print("right")
"""


def test_a_computed_column_is_one_row(copy: Copy) -> None:
    row = (
        '    FrameColumn("delay", pl.Int64(), lambda new: new["received_at"] - '
        'new["exchange_timestamp"]),\n'
    )
    copy.insert("frames/schema.py", row, before=LAST_COLUMN)
    done = copy.run(COMPUTED)
    assert (done.stdout, done.stderr) == ("right\n", "")


def test_a_column_that_nothing_fills_is_refused(copy: Copy) -> None:
    copy.insert("frames/schema.py", '    FrameColumn("delay", pl.Int64()),\n', before=LAST_COLUMN)
    assert "nothing fills the column 'delay'" in copy.run("import kitepolars").stderr


def test_a_dtype_without_a_fixed_width_is_refused_by_name(copy: Copy) -> None:
    row = '    FrameColumn("remark", pl.String(), lambda new: new["last_price"]),\n'
    copy.insert("frames/schema.py", row, before=LAST_COLUMN)
    done = copy.run("from kitepolars import Ticker")
    assert "the column 'remark' cannot be String: it must be one of UInt8, " in done.stderr


NEW_KIND: Final = """
import polars as pl
import kitepolars as kp

lengths = set()
with kp.demo(instruments=["NSE:INFY", "NSE:NIFTY 50"], rate=0) as ticker:
    ticker.wait(rows=2, timeout=60)

    def see(message):
        for run in kp.packets(message.data):
            lengths.add((run.layout.name, run.layout.length))

    ticker.on_message(see)
    for rows in (4, 6):
        ticker.exchange.step()
        assert ticker.wait(rows=rows, timeout=60)
    frame, stats = ticker.frame(), ticker.stats()
    values = ticker.exchange.last_values(408065)
assert frame.height == 6 and not any(stats.losses.values()), stats
last = frame.filter(symbol="NSE:INFY")[-1]
assert last["last_price"].item() * 100 == values["last_price"]
assert last["bid_price"].item().to_list() == [price / 100 for price in values["bid_price"]]
assert set(frame["mode"]) == {"full"}
assert "turnover" in values
print(sorted(lengths))
"""


def test_a_kind_of_packet_is_one_row_for_decoder_and_simulator(copy: Copy) -> None:
    row = (
        '    Layout(name="full_turnover", mode=Mode.FULL, fields=(*_FULL, "turnover"), '
        "depth=True),\n"
    )
    table_end = '\n)\n"""Every kind of packet, in the order of their codes.'
    copy.insert("wire/layouts.py", "\n" + row.rstrip(), before=table_end)
    done = copy.run(NEW_KIND)
    assert (done.stdout, done.stderr) == ("[('full_turnover', 188), ('index_full', 32)]\n", "")
