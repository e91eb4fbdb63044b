"""Draws the report's picture: ticks a second, and snapshot time against rows held."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, THEIRS, MIXED, MARKET = "#2563eb", "#9ca3af", "#d97706", "#dc2626"
MARKET_RATE = 18_000
FULL = "full, 100 packets a message"


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw both halves and save them as SVG, the same bytes for the same numbers."""
    mpl.rcParams.update({"svg.hashsalt": "kitepolars", "font.size": 10})
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    rates, growing, snapshots = figure.subplots(1, 3)
    _draw_rates(rates, results)
    _draw_growing(growing, results)
    _draw_snapshots(snapshots, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _draw_rates(axes: Axes, results: Mapping[str, Mapping[str, Any]]) -> None:
    decode, sockets = results["decode"]["series"][FULL], results["end_to_end"]["series"]
    bars = {
        "official client,\nsockets to DataFrames": (sockets["official"]["rate"], THEIRS),
        "official parser\nand pl.DataFrame": (
            1e9 / min(decode["flat frame"], decode["nested frame"]),
            THEIRS,
        ),
        "official parser,\nto dicts": (1e9 / decode["parser"], THEIRS),
        "kitepolars,\nsockets to frame": (sockets["ours"]["ticks_per_second"], OURS),
        "kitepolars,\nmessages to frame": (1e9 / decode["pipeline"], OURS),
    }
    places = range(len(bars))
    drawn = axes.barh(places, [rate for rate, _ in bars.values()])
    for bar, (rate, colour) in zip(drawn, bars.values(), strict=True):
        bar.set_color(colour)
        axes.annotate(
            f"{rate:,.0f}",
            (rate, bar.get_y() + bar.get_height() / 2),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_yticks(places, list(bars))
    axes.set_xscale("log")
    axes.set_xlim(1e3, 4e8)
    axes.axvline(MARKET_RATE, color=MARKET, linestyle="--", linewidth=1)
    axes.annotate(
        "9,000 instruments at 2/s",
        (MARKET_RATE, len(bars) - 0.45),
        color=MARKET,
        fontsize=8,
        ha="center",
    )
    axes.set_ylim(-0.6, len(bars) - 0.2)
    axes.set_title("full ticks a second (more is better)")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_growing(axes: Axes, results: Mapping[str, Mapping[str, Any]]) -> None:
    found = results["snapshot"]["series"]["full"]
    axes.plot(
        [row["rows"] for row in found],
        [row["ticks_per_second"] / 1e6 for row in found],
        color=OURS,
        marker="o",
        markersize=4,
    )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows held")
    axes.set_title("million full ticks a second decoded")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_snapshots(axes: Axes, results: Mapping[str, Mapping[str, Any]]) -> None:
    series = results["snapshot"]["series"]
    lines = (
        ("full", "frame", "frame(), full", OURS, "-"),
        ("mixed", "frame", "frame(), mixed modes", MIXED, "-"),
        ("full", "latest", "latest(), full", OURS, ":"),
        ("mixed", "latest", "latest(), mixed modes", MIXED, ":"),
    )
    for kind, name, label, colour, style in lines:
        rows = [row["rows"] for row in series[kind]]
        worst = [max(row[name], row[f"{name}_full_tail"]) for row in series[kind]]
        axes.plot(
            rows,
            worst,
            style,
            color=colour,
            marker="o",
            markersize=4,
            label=label,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.set_xlabel("rows held")
    axes.set_title("milliseconds a snapshot (less is better)")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
