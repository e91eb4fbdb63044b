"""Measures `frame()` and `latest()` with ten thousand to twenty million rows held."""

from __future__ import annotations

from pathlib import Path

import harness

SCRIPT = Path(__file__).with_name("held_rows.py")
ROW_BYTES = 260


def measure(results: harness.Results) -> None:
    """Measure full and mixed modes in processes of their own."""
    rows = harness.room_for(1_000_000 if results.quick else 20_000_000, ROW_BYTES)
    full = harness.in_process(SCRIPT, {"what": "full", "rows": rows})
    mixed = harness.in_process(SCRIPT, {"what": "mixed", "rows": rows})
    results.series |= {"full": full, "mixed": mixed}
    for kind, found, target in (("full", full, 2.0), ("mixed", mixed, 10.0)):
        last = found[-1]
        what = f"Snapshot: `frame()`, {last['rows']:,.0f} rows held, {kind}, the worst live tail"
        note = (
            f"median, with a tail of {last['tail']:,.0f} rows; "
            f"{last['frame']:.2f} ms with that of {last['rows']:,.0f} rows"
        )
        worst, smallest = last["frame_full_tail"], found[0]["frame"]
        results.add(what, worst, form="{:.2f} ms", target=harness.at_most(target), note=note)
        if kind == "full":
            results.add(
                f"{what}, more than at ten thousand rows",
                worst - smallest,
                form="{:.2f} ms",
                target=harness.at_most(1.0),
                note=f"{smallest:.2f} ms at ten thousand rows",
            )
    for kind, found in (("full", full), ("mixed", mixed)):
        worst = max(max(row["latest"], row["latest_full_tail"]) for row in found)
        results.add(
            f"Snapshot: `latest()` of 9,000 instruments, {kind}, worst of all sizes",
            worst,
            form="{:.2f} ms",
            target=harness.at_most(10.0),
            note=f"{found[0]['latest']:.2f} ms at {found[0]['rows']:,.0f} rows, "
            f"{found[-1]['latest']:.2f} ms at {found[-1]['rows']:,.0f}",
        )


if __name__ == "__main__":
    harness.main("snapshot", measure, __doc__)
