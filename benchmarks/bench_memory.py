"""Measures the memory of retained ticks, and whether that of a bounded history stays constant.

The bounded history receives the ticks of an hour of a market within a minute.
"""

from __future__ import annotations

from pathlib import Path

import harness

SCRIPT = Path(__file__).with_name("held_rows.py")
ROW_BYTES = 260
WARM_UP = 10
"""Turnovers of the history before memory must be constant."""


def measure(results: harness.Results) -> None:
    """Measure both in processes of their own."""
    rows = harness.room_for(2_000_000 if results.quick else 20_000_000, ROW_BYTES)
    held = harness.in_process(SCRIPT, {"what": "memory", "rows": rows})
    results.add(
        f"Memory: resident bytes per retained full tick, {rows:,} held",
        held["bytes_per_row"] / held["widths"],
        against="the sum of the columns' widths",
        form="{:.3f}×",
        target=harness.at_most(1.05),
        note=f"{held['bytes_per_row']:.1f} bytes against {held['widths']:.1f}; "
        f"Polars says {held['estimated']:.1f}",
    )
    results.add(
        f"Memory: peak resident set at {rows:,} full ticks, the interpreter included",
        held["peak_per_row"] / held["widths"],
        against="the sum of the columns' widths times the ticks",
        form="{:.3f}×",
        target=harness.at_most(1.25),
        note=f"{held['peak'] / 2**30:.2f} GiB",
    )
    small = harness.in_process(SCRIPT, {"what": "turnover", "rows": 1_000_000})
    results.add(
        "Retention: processor time a tick with `max_rows=1_000_000`",
        small["bounded"] / small["unbounded"],
        against="an unbounded history",
        form="{:.2f}×",
        target=harness.at_most(1.1),
        note=f"{small['bounded']:.0f} against {small['unbounded']:.0f} ns",
    )
    turned = harness.in_process(SCRIPT, {"what": "constancy", "rows": 15 if results.quick else 65})
    resident = turned["resident"][WARM_UP:]
    ticks = turned["ticks"]
    harness.add_growth(
        results,
        "growth at constant retention",
        resident,
        f"{ticks:,} ticks through a history of {turned['rows']:,}: in fast motion as many as "
        f"a market's 18,000/s bring in {ticks / 18_000 / 60:.0f} minutes",
    )
    results.series |= {"held": held, "turned": turned}


if __name__ == "__main__":
    harness.main("memory", measure, __doc__)
