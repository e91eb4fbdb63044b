"""Renders ``docs/performance.md`` from the results and a template, and draws the plot.

``python benchmarks/report.py`` after the benchmarks, as ``make bench`` does. If
any of them was a short run, the page goes to ``artifacts/bench`` instead.
The prose is in ``performance.md.in``; what stands there in braces is filled in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import plot
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
    "import",
    "simulator",
)
"""The order of the table; each is a script ``bench_<subject>.py``."""

OPTIONAL: Final = ("widgets", "hour")
"""What needs a browser or an hour; reported where there was one."""

TEMPLATE: Final = Path(__file__).with_name("performance.md.in")
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = ROOT / "docs" / "images" / "performance.svg"

Results = dict[str, dict[str, Any]]


def load() -> Results:
    """Read what the benchmarks wrote, by subject."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))
    }


def findings(result: Mapping[str, Any]) -> list[Finding]:
    """Return the rows of one subject."""
    return [
        Finding(**{**row, "target": Target(**row["target"]) if row["target"] else None})
        for row in result["findings"]
    ]


def main_table(results: Results) -> str:
    """Return the table of everything measured."""
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
    """Return the shares of a tick's way."""
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
    """Return the sweep of settings."""
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


def machine_table(results: Results) -> str:
    """Return where and with what was measured."""
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
        ("commit", machine["commit"]),
    ]
    return _table(("", ""), rows)


PARTS: Final[Mapping[str, Callable[[Results], str]]] = {
    "table": main_table,
    "stages": stage_table,
    "latency": latency_table,
    "machine": machine_table,
}
"""Place in the template → what fills it."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    """Render the page; that of short runs is not the documentation's."""
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
    plot.draw(results, picture)
    print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
