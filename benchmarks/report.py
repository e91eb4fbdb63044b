"""Renders ``docs/performance.md`` from the results and a template, and draws the plot.

``make bench`` runs it after the benchmarks. If any of them was a short run, the page goes to
``artifacts/bench`` instead. The prose is in ``performance.md.in``, with names of tables in braces.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import RESULTS, ROOT, Finding, Target

SUBJECTS: Final = (
    "decode",
    "end_to_end",
    "market_load",
    "latency",
    "snapshot",
    "memory",
    "changes",
    "queries",
    "candles",
    "options",
    "instruments",
    "recorder",
    "import",
    "simulator",
)
"""The subjects in the order of the table; each has a script ``bench_<subject>.py``."""

OPTIONAL: Final = ("alerts", "days", "widgets", "hour")
"""Subjects that are reported if they were measured; some need a browser or take long."""

TEMPLATE: Final = Path(__file__).with_name("performance.md.in")
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = ROOT / "docs" / "images" / "performance.svg"
STAGES: Final = PICTURE.with_name("stages.svg")

BEFORE: Final = Path(__file__).with_name("version_0_1_0.json")
"""What the same measurements gave with version 0.1.0; see ``measured`` in it."""

Results = dict[str, dict[str, Any]]

OURS, THEIRS, MIXED, MARKET = "#2563eb", "#9ca3af", "#d97706", "#dc2626"
MARKET_RATE = 18_000
FULL = "full, 100 packets a message"


def load() -> Results:
    """Return the results of all benchmarks by subject."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))
    }


def findings(result: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of a subject."""
    return [
        Finding(**{**row, "target": Target(**row["target"]) if row["target"] else None})
        for row in result["findings"]
    ]


def main_table(results: Results) -> str:
    """Return the table of all findings."""
    rows = [
        _row(finding)
        for subject in (*SUBJECTS, *OPTIONAL)
        if subject in results
        for finding in findings(results[subject])
    ]
    return _table(("measured", "against", "target", "figure", "verdict", "in numbers"), rows)


def _row(finding: Finding) -> tuple[str, ...]:
    target = ""
    if finding.target:
        target = f"{finding.target.kind} {finding.form.format(finding.target.value)}"
    verdict = finding.verdict if finding.verdict in ("", "met") else f"**{finding.verdict}**"
    figure = finding.form.format(finding.measured)
    return (finding.what, finding.against, target, figure, verdict, finding.note)


def stage_table(results: Results) -> str:
    """Return the table of stages."""
    stages: dict[str, float] = results["stages"]["series"]["stages"]
    total = sum(stages.values())
    rows = [
        (name, f"{nanoseconds:,.0f} ns", f"{nanoseconds / total:.0%}")
        for name, nanoseconds in stages.items()
    ]
    return _table(
        ("stage", "processor time a tick", "share"), [*rows, ("all", f"{total:,.0f} ns", "100%")]
    )


def latency_table(results: Results) -> str:
    """Return the table of the settings swept."""
    rows = [
        (
            "a Python loop" if row["busy"] else "sleeps",
            f"{row['interval']:g} ms",
            f"{row['switch_interval']:g} ms",
            f"{row['asked_p50']:.1f} / {row['asked_p99']:.1f} ms",
            f"{row['flushed_p50']:.1f} / {row['flushed_p99']:.1f} ms",
            f"{row['cpu']:.1%}",
            f"{row['work'] / 1e6:.1f} M/s" if row["busy"] else "",
        )
        for row in results["latency"]["series"]["sweep"]
    ]
    head = (
        "main thread",
        "`Flush.interval`",
        "switch interval",
        "`frame()` asked for, p50 / p99",
        "in a callback, p50 / p99",
        "core, callback only",
        "the loop's additions",
    )
    return _table(head, rows)


def candle_table(results: Results) -> str:
    """Return the table of what a live ticker's candles take as it holds more."""
    rows = [
        (
            f"{row['instruments']:,}",
            f"{row['rows']:,}",
            f"{row['bars']:,}",
            *(f"{row[f'after {ticks}']:.2f} ms" for ticks in (100, 1_000, 18_000)),
        )
        for row in results["candles"]["series"]["candles"]
    ]
    head = ("instruments", "rows", "bars", "100 new ticks", "1,000", "two an instrument")
    return _table(head, rows)


def machine_table(results: Results) -> str:
    """Return the table of machine and software."""
    machine = results[next(subject for subject in SUBJECTS if subject in results)]["machine"]
    dates = sorted(result["machine"]["date"] for result in results.values())
    loads = [result["machine"]["load"] for result in results.values()]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    rows = [
        ("date", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"),
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("memory", f"{machine['memory'] / 2**30:.0f} GiB"),
        ("system", machine["system"]),
        ("load while measuring (ours included)", f"{min(loads):.1f} … {max(loads):.1f}"),
        ("Python", machine["python"]),
        ("packages", packages),
        ("commit", ", ".join(dict.fromkeys(it["machine"]["commit"] for it in results.values()))),
    ]
    return _table(("", ""), rows)


PARTS: Final[Mapping[str, Callable[[Results], str]]] = {
    "table": main_table,
    "stages": stage_table,
    "latency": latency_table,
    "candles": candle_table,
    "machine": machine_table,
}
"""Name in the template → the function that renders it."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the picture and save it as SVG, the same bytes for the same numbers."""
    mpl.rcParams.update({"svg.hashsalt": "kitepolars", "font.size": 10})
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    rates, growing, snapshots = figure.subplots(1, 3)
    _draw_rates(rates, results)
    _draw_growing(growing, results)
    _draw_snapshots(snapshots, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def draw_stages(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw where the time of a tick goes, with version 0.1.0 and now, and save it as SVG."""
    mpl.rcParams.update({"svg.hashsalt": "kitepolars", "font.size": 10})
    before = json.loads(BEFORE.read_text("utf-8"))
    singles = results["stages"]["series"]["singles"]
    now = results["end_to_end"]["series"]["socket to row"]
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    stages, totals = figure.subplots(1, 2)
    for place, found in enumerate((results["stages"]["series"]["stages"], before["stages"])):
        start = 0.0
        for number, (name, nanoseconds) in enumerate(found.items()):
            label = name if place == 0 else None
            stages.barh(place, nanoseconds, left=start, color=f"C{number}", label=label)
            start += nanoseconds
        stages.annotate(
            f"{start:,.0f}", (start, place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    stages.set_yticks((0, 1), ("now", "0.1.0"))
    stages.set_ylim(-0.6, 2.2)  # room for the legend
    stages.set_title("ns a tick, 100 packets a message")
    stages.legend(frameon=False, fontsize=8, ncols=6, loc="upper left")
    bars = {
        "asyncio, bytes only": (singles["socket"], THEIRS),
        "now, socket to row": (now["1 packet"], OURS),
        "0.1.0, socket to row": (before["socket to row"]["1 packet"], THEIRS),
    }
    drawn = totals.barh(list(bars), [nanoseconds for nanoseconds, _ in bars.values()])
    for bar, (nanoseconds, colour) in zip(drawn, bars.values(), strict=True):
        bar.set_color(colour)
        totals.annotate(
            f"{nanoseconds:,.0f}",
            (nanoseconds, bar.get_y() + bar.get_height() / 2),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    totals.set_title("ns a tick, 1 packet a message")
    for axes in (stages, totals):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.1)
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


def main() -> None:
    """Render the page; short runs do not replace the documentation."""
    results = load()
    missing = [subject for subject in (*SUBJECTS, "stages") if subject not in results]
    if missing:
        sys.exit(f"no results of {', '.join(missing)} in {RESULTS}")
    if any(result["quick"] for result in results.values()):
        page, picture = RESULTS / PAGE.name, RESULTS / "images" / PICTURE.name
    else:
        page, picture = PAGE, PICTURE
    text = TEMPLATE.read_text("utf-8")
    for place, render in PARTS.items():
        text = text.replace("{" + place + "}", render(results))
    page.write_text(text, "utf-8")
    draw(results, picture)
    draw_stages(results, picture.with_name(STAGES.name))
    print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
