"""Reading the dump: what is kept, what is set aside and why."""

import gzip
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.errors import ConfigError
from kitepolars.instruments import Instruments
from kitepolars.instruments.dump import DUMP_SCHEMA, MAX_CONTENT, read_dump, read_records

HEADER = ",".join(DUMP_SCHEMA)
INFY = "408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE"
CALL = (
    '12073986,47164,NIFTY18JAN23500CE,"NIFTY, 50",2528.4,2018-01-25,23500.0,0.05,40,CE,NFO-OPT,NFO'
)


def dump_of(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


def test_values_and_dtypes() -> None:
    dump = read_dump(dump_of(INFY, CALL))

    assert dump.frame.schema == DUMP_SCHEMA
    assert dump.rejected.is_empty()
    assert dump.frame.row(0) == (
        408065, 1594, "INFY", "INFOSYS", 0.0, None, 0.0, 0.05, 1, "EQ", "NSE", "NSE",
    )  # fmt: skip
    assert dump.frame.row(1) == (
        12073986, 47164, "NIFTY18JAN23500CE", "NIFTY, 50", 2528.4, date(2018, 1, 25), 23500.0,
        0.05, 40, "CE", "NFO-OPT", "NFO",
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(dump_of(INFY)),
        dump_of(INFY).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + dump_of(INFY),
        dump_of(INFY).rstrip(),
        dump_of("", INFY, "  ", ""),
    ],
    ids=["gzip", "windows lines", "byte-order mark", "no last newline", "blank lines"],
)
def test_other_ways_of_writing_the_same(data: bytes) -> None:
    dump = read_dump(data)

    assert dump.frame["tradingsymbol"].to_list() == ["INFY"]
    assert dump.rejected.is_empty()


def test_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "instruments.csv.gz"
    path.write_bytes(gzip.compress(dump_of(INFY)))

    assert read_dump(path).frame.height == 1
    assert read_dump(str(path)).frame.height == 1
    with pytest.raises(FileNotFoundError):
        read_dump(tmp_path / "absent.csv")


def test_columns_in_another_order_and_more_of_them() -> None:
    columns = [*reversed(DUMP_SCHEMA), "isin"]
    values = dict(zip(DUMP_SCHEMA, INFY.split(","), strict=True)) | {"isin": "INE009A01021"}
    lines = [",".join(columns), ",".join(values[name] for name in columns)]

    assert read_dump("\n".join(lines).encode()).frame.row(0)[:3] == (408065, 1594, "INFY")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,3", "expected 12 fields"),
        (INFY + ",more", "expected 12 fields"),
        (INFY.replace("INFOSYS", '"INFOSYS'), "expected 12 fields"),
        (INFY.replace("408065", "x"), "instrument_token must be"),
        (INFY.replace("408065", "0"), "instrument_token must be"),
        (INFY.replace("408065", "-1"), "instrument_token must be"),
        (INFY.replace("408065", "4294967296"), "instrument_token must be"),
        (INFY.replace("408065", ""), "instrument_token must be"),
        (INFY.replace("INFY", " "), "tradingsymbol must be"),
        (INFY.replace("NSE,NSE", "NSE,"), "exchange must be"),
        (INFY.replace(",,0.0", ",2018-13-01,0.0"), "expiry must be empty or YYYY-MM-DD"),
        (INFY.replace("0.05", "nan"), "tick_size must be a finite number, not 'nan'"),
        (INFY.replace("0.05,1", "0.05,-1"), "lot_size must be"),
        (CALL.replace("23500.0", "many"), "strike must be a finite number, not 'many'"),
    ],
)
def test_a_malformed_row_is_reported_with_its_line(line: str, reason: str) -> None:
    good = CALL.replace("12073986", "5").replace("23500CE", "1CE")
    dump = read_dump(dump_of("", good, line, CALL.replace("12073986", "6")))

    assert dump.frame["instrument_token"].to_list() == [5, 6]
    number, why, content = dump.rejected.row(0)
    assert dump.rejected.height == 1
    assert (number, content) == (4, line)
    assert why.startswith(reason)


def test_a_repeated_token_or_symbol_keeps_the_first() -> None:
    bad_first = INFY.replace("0.05", "?")
    dump = read_dump(dump_of(bad_first, INFY, CALL.replace("12073986", "408065"), "7" + INFY))

    assert dump.frame["tradingsymbol"].to_list() == ["INFY"]
    assert dump.rejected["line"].to_list() == [2, 4, 5]
    assert "earlier line" in dump.rejected["reason"][1]
    assert "NSE:INFY" in dump.rejected["reason"][2]


def test_what_is_kept_of_a_rejected_row_is_bounded() -> None:
    assert len(read_dump(dump_of("x" * 10_000)).rejected["content"][0]) == MAX_CONTENT


@pytest.mark.parametrize(
    "data",
    [b"", b'{"status": "error"}', b"<html></html>", INFY.encode(), b"\x1f\x8bnonsense",
     gzip.compress(dump_of(INFY))[:-12]],
)  # fmt: skip
def test_what_is_no_dump_raises(data: bytes) -> None:
    with pytest.raises(ConfigError):
        read_dump(data)


@given(st.lists(st.text(max_size=40) | st.just(INFY) | st.just(CALL), max_size=8))
def test_every_line_is_an_instrument_or_a_rejection(lines: list[str]) -> None:
    lines = [line.replace("\n", "").replace("\r", "") for line in lines]
    dump = read_dump(dump_of(*lines))

    filled = [number for number, line in enumerate(lines, start=2) if _is_filled(line)]
    assert dump.frame.height + dump.rejected.height == len(filled)
    assert set(dump.rejected["line"]) <= set(filled)
    assert dump.frame.height == len({INFY, CALL} & set(lines))


def _is_filled(line: str) -> bool:
    return bool(pl.Series([line]).str.strip_chars()[0] != "")


def test_records_of_the_official_client() -> None:
    record = read_dump(dump_of(CALL)).frame.row(0, named=True)
    equity = read_dump(dump_of(INFY)).frame.row(0, named=True) | {"expiry": ""}
    dump = read_records([record, equity])

    assert dump.frame.equals(read_dump(dump_of(CALL, INFY)).frame)
    assert read_records([record | {"lot_size": "?"}]).rejected["line"].to_list() == [1]
    with pytest.raises(ConfigError, match="tradingsymbol"):
        read_records([{"instrument_token": 1, "exchange_token": 2}])


@pytest.mark.parametrize("zone", [None, UTC])
def test_expiries_of_records_may_be_times(zone: tzinfo | None) -> None:
    record = read_dump(dump_of(CALL)).frame.row(0, named=True)
    time = datetime(2018, 1, 25, tzinfo=zone)
    dump = read_records([record | {"expiry": time}])
    assert dump.frame["expiry"].to_list() == [date(2018, 1, 25)]


SENSEX = "265,1,SENSEX,SENSEX,0.0,,0.0,0.0,0,EQ,NSE-INDICES,NSE"


@pytest.mark.parametrize("step", [1, -1])
def test_one_token_under_two_exchanges_has_two_names(step: int) -> None:
    lines = [SENSEX, SENSEX.replace("NSE-INDICES,NSE", "INDICES,BSE")]
    instruments = Instruments.read_csv(dump_of(*lines[::step], INFY))
    assert instruments.tokens(["BSE:SENSEX", "nse:sensex", "NSE:INFY"]) == [265, 265, 408065]
    assert instruments.symbol(265) == "BSE:SENSEX"
    assert len(instruments) == 2
    assert instruments.rejected.is_empty()


@pytest.mark.parametrize(
    "day", ["0000-01-01", "0000-00-00", "1970-01-01", "9999-12-31", "2026-02-30"]
)
def test_an_expiry_that_cannot_be_is_no_expiry(day: str) -> None:
    dump = read_dump(dump_of(CALL.replace("2018-01-25", day), INFY))
    assert dump.rejected["reason"][0].startswith("expiry must be empty or YYYY-MM-DD")
    assert len(dump.frame.rows()) == 1
