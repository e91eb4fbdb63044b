"""The instruments dump: CSV or records → a checked frame. Any thread.

Malformed rows are rejected with their line number and a reason, so that one bad line does not cost
the other 117,000. Source of the columns: Kite Connect v3, "Market quotes and instruments".
"""

from __future__ import annotations

import csv
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Final

import polars as pl

from kitepolars.errors import ConfigError

DUMP_URL: Final = "https://api.kite.trade/instruments"
"""The dump of all exchanges. The path of one exchange has its name appended."""

DUMP_SCHEMA: Final = pl.Schema(
    {
        "instrument_token": pl.UInt32(),
        "exchange_token": pl.UInt32(),
        "tradingsymbol": pl.String(),
        "name": pl.String(),
        "last_price": pl.Float64(),
        "expiry": pl.Date(),
        "strike": pl.Float64(),
        "tick_size": pl.Float64(),
        "lot_size": pl.UInt32(),
        "instrument_type": pl.Categorical(),
        "segment": pl.Categorical(),
        "exchange": pl.Categorical(),
    }
)
"""Column → dtype of the dump, in its order. Prices are in rupees, lots in units."""

EXCHANGES: Final = ("NSE", "BSE", "NFO", "BFO", "MCX", "CDS", "BCD", "NCO")
"""The exchanges in order of preference; others come after them, by name."""

OPTION_TYPES: Final = ("CE", "PE")
"""The values of ``instrument_type`` of calls and puts."""

MAX_CONTENT: Final = 200
"""Characters of a rejected line that are kept."""

MAX_DUMP_BYTES: Final = 1 << 28
"""The most bytes that a dump may unpack to: 28 times the present 9.5 MB."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAY_BE_EMPTY: Final = frozenset(
    {"exchange_token", "name", "last_price", "expiry", "strike", "tick_size", "lot_size"}
)
_EXPECTED: Final = {
    pl.UInt32(): "a whole number below 4294967296 (a token above 0)",
    pl.Float64(): "a finite number",
    pl.Date(): "empty or YYYY-MM-DD, from 2000 to 2099",
    pl.String(): "a text",
    pl.Categorical(): "a text",
}
EXPIRY_RANGE: Final = (date(2000, 1, 1), date(2099, 12, 31))
"""The range of an expiry. Kite has sent the year 0000, which no program can show."""

_ROW_TOKEN: Final = pl.col("instrument_token")
_UPPER_SYMBOL: Final = pl.col("tradingsymbol").str.to_uppercase()
_IS_ALIAS: Final = (
    ~pl.struct(_ROW_TOKEN, _UPPER_SYMBOL).is_first_distinct()
    & pl.struct(_ROW_TOKEN, "exchange").is_first_distinct()
)
"""Whether a row repeats an earlier token and symbol under another exchange."""

_FIELD: Final = r'(?:[^",]*|"(?:[^"]|"")*")'

REJECTED_SCHEMA: Final = pl.Schema(
    {"line": pl.UInt32(), "reason": pl.String(), "content": pl.String()}
)
"""Column → dtype of rejected rows. The header is line 1."""


class RejectedRowsWarning(UserWarning):
    """Rows of an instruments dump, or historical candles, were malformed and left out."""


@dataclass(frozen=True, kw_only=True)
class Dump:
    """The content of a dump.

    Parameters
    ----------
    frame
        The good rows, one per token, with the columns of `DUMP_SCHEMA`.
    aliases
        Rows that repeat a token and its symbol under another exchange, with the same columns.
    rejected
        The malformed rows, with the columns of `REJECTED_SCHEMA`.
    """

    frame: pl.DataFrame
    aliases: pl.DataFrame
    rejected: pl.DataFrame


def checked_dump(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the dump's columns of a frame, in the dump's dtypes.

    Raises
    ------
    ConfigError
        If a column is missing or has values that do not fit its dtype, or if an expiry is not
        from 2000 to 2099.
    """
    missing = [name for name in DUMP_SCHEMA if name not in frame.columns]
    if missing:
        lacking = f"the frame has no {', '.join(missing)}"
        raise ConfigError("frame", frame.columns, message=lacking)
    try:
        dump = frame.select(*DUMP_SCHEMA).cast(DUMP_SCHEMA)
    except pl.exceptions.InvalidOperationError as error:
        wrong = f"the columns of the frame cannot be cast to those of the dump: {error}"
        raise ConfigError("frame", frame.schema, message=wrong) from None
    odd = dump.filter(~pl.col("expiry").is_between(*EXPIRY_RANGE))["expiry"]
    if not odd.is_empty():
        raise ConfigError("expiry", str(odd.cast(pl.String)[0]), "from 2000 to 2099")
    return dump


def read_dump(source: str | PathLike[str] | bytes) -> Dump:
    """Read the CSV of the instruments dump, plain or gzipped.

    Parameters
    ----------
    source
        A path, or the file's bytes.

    Raises
    ------
    ConfigError
        If it is not an instruments dump.
    OSError
        If the file cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if data.startswith(_GZIP_MAGIC):
        data = _gunzip(data)
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    lines = pl.Series("content", text.split("\n"), pl.String)
    header = _header(lines[0])
    numbered = pl.DataFrame({"content": lines}).with_row_index("line", offset=1)
    numbered = numbered.slice(1).filter(pl.col("content").str.strip_chars() != "")
    well_formed = pl.col("content").str.contains(_line_pattern(len(header)))
    whole = numbered.filter(well_formed)
    broken = numbered.filter(~well_formed).select(
        "line", pl.format("expected {} fields", pl.lit(len(header))).alias("reason"), "content"
    )
    return _checked(_split(whole["content"], header), whole["line"], whole["content"], broken)


def read_records(records: Iterable[Mapping[str, Any]]) -> Dump:
    """Read the dump from the official client: one mapping per instrument.

    Parameters
    ----------
    records
        Mappings with the dump's columns as keys, e.g. from ``kite.instruments()``.

    Raises
    ------
    ConfigError
        If a record lacks a column of the dump.
    """
    rows = list(records)
    absent = next((name for row in rows for name in DUMP_SCHEMA if name not in row), None)
    if absent is not None:
        raise ConfigError("instruments", absent, message=f"a record has no {absent}")
    fields = pl.DataFrame([_texts(name, [row[name] for row in rows]) for name in DUMP_SCHEMA])
    content = fields.select(pl.concat_str(pl.all().fill_null(""), separator=",").alias("content"))
    line = pl.Series("line", range(1, len(rows) + 1), pl.UInt32)
    return _checked(fields, line, content["content"], REJECTED_SCHEMA.to_frame())


def warn_of(rejected: pl.DataFrame, *, stacklevel: int) -> None:
    """Warn once if rows were rejected, and show the first of them."""
    if rejected.is_empty():
        return
    line, reason, content = rejected.row(0)
    warnings.warn(
        f"malformed rows of the instruments dump were left out: {rejected.height:,}; the first is "
        f"line {line}: {reason}: {content!r}. See Instruments.rejected.",
        RejectedRowsWarning,
        stacklevel=stacklevel + 1,
    )


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(data, MAX_DUMP_BYTES)
    except zlib.error:
        raise ConfigError("instruments", data[:20], "an intact gzip file") from None
    if not unpacker.eof:
        raise ConfigError("instruments", data[:20], "an intact gzip file of at most 256 MB")
    return unpacked


def _header(line: str) -> list[str]:
    header = next(csv.reader([line]), [])
    missing = [name for name in DUMP_SCHEMA if header.count(name) != 1]
    if missing:
        raise ConfigError(
            "instruments",
            line[:MAX_CONTENT],
            f"an instruments dump with the columns {', '.join(missing)} in its first line",
        )
    return header


def _line_pattern(fields: int) -> str:
    return f"^{_FIELD}(?:,{_FIELD}){{{fields - 1}}}$"


def _split(lines: pl.Series, header: list[str]) -> pl.DataFrame:
    # Every line has the right number of fields and closed quotes, so that it is one row.
    text = "\n".join([",".join(f"column_{i}" for i in range(len(header))), *lines, ""])
    fields = pl.read_csv(text.encode(), infer_schema=False)
    fields.columns = header
    return fields.select(*DUMP_SCHEMA)


def _checked(
    fields: pl.DataFrame, line: pl.Series, content: pl.Series, broken: pl.DataFrame
) -> Dump:
    texts = fields.with_columns(pl.all().str.strip_chars().replace("", None))
    typed = texts.select(_typed(name, dtype) for name, dtype in DUMP_SCHEMA.items())
    rows = typed.hstack(texts.rename(_as_text)).hstack([line, content])
    # Reasons are only written for the few rows that need one.
    wrong = rows.select(pl.any_horizontal(_is_wrong(name) for name in DUMP_SCHEMA)).to_series()
    faulty = rows.filter(wrong).with_columns(
        pl.coalesce(_fault(name, dtype) for name, dtype in DUMP_SCHEMA.items()).alias("reason")
    )
    rows = rows.filter(~wrong)
    repeated = _is_repeated(rows)
    doubles = rows.filter(repeated).with_columns(
        pl.format(
            "token {} or symbol {}:{} is on an earlier line",
            "instrument_token",
            "exchange",
            "tradingsymbol",
        ).alias("reason")
    )
    rejected = pl.concat(part.select(*REJECTED_SCHEMA) for part in (broken, faulty, doubles))
    frame, aliases = _apart(rows.filter(~repeated).select(*DUMP_SCHEMA))
    return Dump(
        frame=frame,
        aliases=aliases,
        rejected=rejected.sort("line").with_columns(pl.col("content").str.slice(0, MAX_CONTENT)),
    )


def _is_repeated(rows: pl.DataFrame) -> pl.Series:
    """Return which rows have the token or the name of an earlier row, aliases apart."""
    has_token = ~rows.select(_ROW_TOKEN.is_first_distinct()).to_series()
    has_name = ~rows.select(pl.struct("exchange", _UPPER_SYMBOL).is_first_distinct()).to_series()
    if has_token.any():  # the comparison of both takes long, and is seldom necessary
        has_token &= ~rows.select(_IS_ALIAS).to_series()
    return has_token | has_name


def _apart(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return one row per token, and the aliases: further rows of tokens with several exchanges.

    The token's own row is the one in the segment INDICES, or else the first.
    """
    numbered = rows.with_row_index("row")
    shared = numbered.filter(pl.col("instrument_token").is_duplicated())
    if shared.is_empty():
        return rows, rows.clear()
    is_index = pl.col("segment").cast(pl.String) == "INDICES"
    own = shared.sort(is_index, descending=True, maintain_order=True).unique(
        "instrument_token", keep="first", maintain_order=True
    )
    others = shared.filter(~pl.col("row").is_in(own["row"].implode()))
    frame = numbered.filter(~pl.col("row").is_in(others["row"].implode()))
    return frame.drop("row"), others.drop("row")


def _typed(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Date:
        day = column.str.to_date("%Y-%m-%d", strict=False)
        return pl.when(day.is_between(*EXPIRY_RANGE)).then(day).alias(name)
    if dtype == pl.Float64:
        number = column.cast(dtype, strict=False)
        return pl.when(number.is_finite()).then(number).alias(name)
    return column.cast(dtype, strict=False)


def _as_text(name: str) -> str:
    return f"{name}_as_text"


def _is_wrong(name: str) -> pl.Expr:
    if name == "instrument_token":
        return pl.col(name).fill_null(0) == 0
    if name in _MAY_BE_EMPTY:
        return pl.col(name).is_null() & pl.col(_as_text(name)).is_not_null()
    return pl.col(name).is_null()


def _fault(name: str, dtype: pl.DataType) -> pl.Expr:
    text = pl.col(_as_text(name)).fill_null("").str.slice(0, 40)
    message = pl.format(f"{name} must be {_EXPECTED[dtype]}, not '{{}}'", text)
    return pl.when(_is_wrong(name)).then(message)


def _texts(name: str, values: list[Any]) -> pl.Series:
    try:
        column = pl.Series(name, values, strict=True)
        is_time = isinstance(column.dtype, pl.Datetime)
        return (column.dt.date() if is_time else column).cast(pl.String)
    except (TypeError, pl.exceptions.PolarsError):  # mixed values: an expiry is a date or ""
        return pl.Series(name, map(_text, values), pl.String)


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        value = value.date()
    return value.isoformat() if isinstance(value, date) else str(value)
