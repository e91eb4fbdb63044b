"""What the demonstration leaves behind: frames, totals, and a verdict. Main thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl
from rich.console import Console
from rich.rule import Rule

from kitepolars import Ticker

FEWEST_COLUMNS: Final = 2
TIMES_AS_TEXT: Final = pl.col(pl.Datetime("us", "Asia/Kolkata")).dt.strftime("%d %b %H:%M:%S")
"""Times in India, short enough to stand side by side."""


def problems(ticker: Ticker, tokens: Sequence[int]) -> list[str]:
    """Say what went wrong, in words; nothing if all is well.

    Parameters
    ----------
    ticker
        What ran.
    tokens
        The instruments that were subscribed; each must have ticked.
    """
    stats = ticker.stats()
    ticked = ticker.frame()["instrument_token"].unique()
    counts = {
        "instruments without a tick": len(set(tokens) - set(ticked)),
        "packets rejected": stats.rejected_packets,
        "messages rejected": stats.rejected_messages,
        "messages dropped": stats.dropped,
        "reconnects": stats.reconnects,
        "gaps": stats.gaps,
    }
    return [f"{count:,} {name}" for name, count in counts.items() if count]


def show_results(
    console: Console, ticker: Ticker, watched: Sequence[int], *, connections: int
) -> None:
    """Print the frame's head, the latest values of the watch list, and the totals."""
    frame, stats = ticker.frame(), ticker.stats()
    for title, text in {
        "ticker.frame().head()": columns(frame.head(), console.width),
        "ticker.latest()": table(latest_values(ticker.latest(), watched), console.width),
    }.items():
        console.print(Rule(title, align="left"))
        print(text)
    console.print(
        f"{stats.ticks:,} ticks in {stats.messages:,} messages "
        f"over {connections} connection{'s' * (connections != 1)}; "
        f"{frame.height:,} rows held in {frame.estimated_size() / 1e6:,.1f} MB.",
        highlight=False,
    )


def show_verdict(console: Console, wrong: Sequence[str]) -> None:
    """Say in words how it went."""
    if wrong:
        console.print(f"Not all was well: {', '.join(wrong)}.", style="bold red", highlight=False)
    else:
        console.print("Every instrument ticked; nothing was rejected, dropped or missed.")


def latest_values(latest: pl.DataFrame, watched: Sequence[int]) -> pl.DataFrame:
    """Return the rows of the watch list in its order, with the best of their books."""
    order = pl.DataFrame({"instrument_token": pl.Series(list(watched), dtype=pl.UInt32)})
    rows = order.join(latest, on="instrument_token", how="inner", maintain_order="left")
    return rows.select(
        "symbol",
        "last_price",
        pl.col("bid_price").arr.first(),
        pl.col("ask_price").arr.first(),
        "volume_traded",
        "exchange_timestamp",
        "close",
        "oi",
    ).with_columns(TIMES_AS_TEXT)


def columns(frame: pl.DataFrame, width: int) -> str:
    """Return a frame as text with a line a column, since all of them are to be seen."""
    lines = [f"shape: {frame.shape}"]
    frame = frame.with_columns(TIMES_AS_TEXT)
    lines += [f"{name:<22} {', '.join(map(_shown, frame[name]))}" for name in frame.columns]
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    return str(value.to_list()) if isinstance(value, pl.Series) else str(value)


def table(frame: pl.DataFrame, width: int) -> str:
    """Return a frame as text with as many of its first columns as there is room for."""
    tables = (_table(frame.select(frame.columns[:n])) for n in range(frame.width, 0, -1))
    fitting = (text for text in tables if max(map(len, text.splitlines())) <= width)
    return next(fitting, _table(frame.select(frame.columns[:FEWEST_COLUMNS])))


def _table(frame: pl.DataFrame) -> str:
    with pl.Config(
        tbl_width_chars=10_000,
        tbl_rows=frame.height,
        tbl_cols=frame.width,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
    ):
        return str(frame)
